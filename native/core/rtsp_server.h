// RTSP for outputs: one media per mount, shared by all its clients.
#pragma once

#include <gst/rtsp-server/rtsp-server.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "census.h"
#include "output.h"
#include "rtsp_access.h"
#include "rtsp_reader.h"

namespace framebus {

// Fields as in contract.ts.
struct RtspServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8554;  // 0 takes a free one.
  uint32_t max_clients = 64;
  bool tcp = true;
  bool udp = false;
  uint32_t session_timeout_ms = 60'000;
  std::vector<RtspUser> users;
  std::optional<RtspTls> tls;
};

// What a server reports; called on its own thread, must not block. A peer is an IP address.
class RtspListener {
 public:
  virtual ~RtspListener() = default;
  // A client was disconnected for a fault of its reading.
  virtual void on_dropped(const std::string& peer, const std::string& path,
                          RtspReaderFault fault) = 0;
  // A request had wrong credentials, or those of a user who may not watch the path.
  virtual void on_denied(const std::string& peer, const std::string& path) = 0;
};

// Thread-safe. All of the server's work is done on one thread of its own.
class RtspServer {
 public:
  // Throws Error RTSP_PORT_IN_USE, RTSP_BIND and RTSP_TLS.
  explicit RtspServer(const RtspServerOptions& options,
                      std::shared_ptr<RtspListener> listener = nullptr);
  ~RtspServer();
  RtspServer(const RtspServer&) = delete;
  RtspServer& operator=(const RtspServer&) = delete;

  uint16_t port() const { return port_; }

  // Serves an output at /<path>. Until its first keyframe is there, DESCRIBE is
  // answered with 503. Throws Error RTSP_MOUNT: a bad or taken path, or closed.
  void mount(const std::string& path, std::shared_ptr<Output> output);
  // Disconnects those who watch it. Unknown paths are ignored.
  void unmount(const std::string& path);
  // Clients that are connected now, refused ones not counted.
  uint32_t clients() const { return clients_; }

  // Disconnects everybody and ends the thread. Blocks, 2 s at most. Idempotent.
  void close();

 private:
  struct Work;

  void bind(const RtspServerOptions& options);
  void run();
  void invoke(std::function<void()> work);
  void disconnect_watchers(const std::string& path);
  void disconnect_all();
  void look_after_clients();
  GstRTSPFilterResult look_at(GstRTSPClient* client) const;
  // The mount that a path is of, and its output; nothing when there is none.
  std::optional<std::pair<std::string, std::shared_ptr<Output>>> mount_at(
      const std::string& path) const;

  // Handlers, on the server's thread.
  void on_client(GstRTSPClient* client);
  void on_client_closed(GstRTSPClient* client);
  void on_play(GstRTSPClient* client, const GstRTSPContext* context) const;
  GstRTSPStatusCode admit(GstRTSPClient* client, GstRTSPContext* context) const;

  const uint32_t max_clients_;
  const GstRTSPLowerTrans transports_;
  const guint session_timeout_s_;
  const RtspAccess access_;
  const std::shared_ptr<RtspListener> listener_;  // May be null.
  uint16_t port_ = 0;
  std::atomic<uint32_t> clients_ = 0;
  const std::shared_ptr<Census> connections_ = std::make_shared<Census>();
  const std::shared_ptr<Census> medias_ = std::make_shared<Census>();

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Output>> mounts_;  // By "/path".
  bool closed_ = false;

  GMainContext* context_ = nullptr;  // Owned, like the following.
  GMainLoop* loop_ = nullptr;
  GstRTSPServer* server_ = nullptr;
  GSource* listening_ = nullptr;
  GSource* looking_ = nullptr;
  std::jthread thread_;
};

}  // namespace framebus
