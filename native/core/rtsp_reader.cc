#include "rtsp_reader.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

namespace framebus {
namespace {

// Shorter than the 10 s after which the library takes away a client's pictures and says
// nothing, to us or to the client.
constexpr guint kSlowLooks = 5000 / kReaderLookMs;
constexpr const char* kLooksKey = "framebus-slow-looks";

// Whether bytes wait in the kernel because the other end has no room for them.
bool is_behind(GstRTSPClient* client) {
  const GstRTSPConnection* connection = gst_rtsp_client_get_connection(client);
  GSocket* socket =
      connection != nullptr ? gst_rtsp_connection_get_write_socket(connection) : nullptr;
  int unsent = 0;
  return socket != nullptr && ioctl(g_socket_get_fd(socket), SIOCOUTQNSD, &unsent) == 0 &&
         unsent > 0;
}

bool is_silent(GstRTSPClient* client) {
  bool silent = false;
  g_list_free(gst_rtsp_client_session_filter(
      client,
      [](GstRTSPClient*, GstRTSPSession* session, gpointer found) {
        if (gst_rtsp_session_is_expired_usec(session, g_get_monotonic_time()))
          *static_cast<bool*>(found) = true;
        return GST_RTSP_FILTER_KEEP;
      },
      &silent));
  return silent;
}

}  // namespace

std::optional<RtspReaderFault> reader_fault(GstRTSPClient* client) {
  const guint before = GPOINTER_TO_UINT(g_object_get_data(G_OBJECT(client), kLooksKey));
  const guint looks = is_behind(client) ? before + 1 : 0;
  g_object_set_data(G_OBJECT(client), kLooksKey, GUINT_TO_POINTER(looks));
  if (looks > kSlowLooks) return RtspReaderFault::kSlow;
  if (is_silent(client)) return RtspReaderFault::kSilent;
  return std::nullopt;
}

}  // namespace framebus
