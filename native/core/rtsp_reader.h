// How an RTSP client takes what it is sent.
#pragma once

#include <gst/rtsp-server/rtsp-server.h>

#include <optional>

namespace framebus {

enum class RtspReaderFault {
  kSlow,    // Over TCP: it has not taken everything at any time of the last 5 s.
  kSilent,  // Over UDP, or before it plays: nothing was heard of it for its session's timeout.
};

// How often reader_fault() is to be asked about each client.
constexpr guint kReaderLookMs = 250;

// What is wrong with a client, if anything. Remembers in the client how it was
// before; on the server's thread.
std::optional<RtspReaderFault> reader_fault(GstRTSPClient* client);

}  // namespace framebus
