// RTSP for outputs: one media per mount, shared by all its clients, over TCP.
#pragma once

#include <gst/rtsp-server/rtsp-server.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "census.h"
#include "output.h"

namespace framebus {

// Fields as in contract.ts.
struct RtspServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8554;  // 0 takes a free one.
  uint32_t max_clients = 64;
};

// Thread-safe. All of the server's work is done on one thread of its own.
class RtspServer {
 public:
  // Throws Error RTSP_PORT_IN_USE and RTSP_BIND.
  explicit RtspServer(const RtspServerOptions& options);
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
  std::shared_ptr<Output> output_at(const std::string& path) const;

  // Handlers, on the server's thread.
  void on_client(GstRTSPClient* client);
  void on_client_closed(GstRTSPClient* client);
  GstRTSPStatusCode admit(GstRTSPClient* client, const GstRTSPContext* context) const;

  const uint32_t max_clients_;
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
  GSource* cleaning_ = nullptr;
  std::jthread thread_;
};

}  // namespace framebus
