// RTSP clients for tests: a player that decodes, and a bare connection.
#pragma once

#include <arpa/inet.h>
#include <gst/app/gstappsink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/gst_ptr.h"
#include "core/monotonic.h"

namespace framebus::test {

inline std::string rtsp_url(uint16_t port, const std::string& path) {
  return "rtsp://127.0.0.1:" + std::to_string(port) + "/" + path;
}

// rtspsrc and a decoder, pulled by the test.
class Player {
 public:
  explicit Player(const std::string& url, const std::string& transport = "tcp")
      : opened_ns_(monotonic_ns()) {
    const std::string launch = "rtspsrc location=" + url + " protocols=" + transport +
                               " latency=0 ! rtph264depay ! avdec_h264 max-threads=1"
                               " ! appsink name=sink sync=false max-buffers=100 drop=true";
    pipeline_.reset(gst_parse_launch(launch.c_str(), nullptr));
    gst_object_ref_sink(pipeline_.get());
    sink_.reset(gst_bin_get_by_name(GST_BIN(pipeline_.get()), "sink"));
    gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING);
  }
  ~Player() { gst_element_set_state(pipeline_.get(), GST_STATE_NULL); }
  Player(const Player&) = delete;
  Player& operator=(const Player&) = delete;

  // The next decoded picture; null at the end or after the deadline.
  GstPtr<GstSample> next(int64_t deadline_ms = 5000) {
    return GstPtr<GstSample>(gst_app_sink_try_pull_sample(
        GST_APP_SINK(sink_.get()), static_cast<GstClockTime>(deadline_ms) * GST_MSECOND));
  }
  // So many pictures, one after the other.
  bool plays(int pictures) {
    for (int n = 0; n < pictures; ++n) {
      if (next() == nullptr) return false;
    }
    return true;
  }
  int64_t age_ms() const { return (monotonic_ns() - opened_ns_) / 1'000'000; }

 private:
  const int64_t opened_ns_;
  GstPtr<GstElement> pipeline_;
  GstPtr<GstElement> sink_;
};

// A TCP connection that speaks RTSP by hand.
class Connection {
 public:
  // A small window makes a reader that stops visible soon.
  Connection(uint16_t port, int receive_bytes) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    const timeval deadline{5, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ =
        ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  explicit Connection(uint16_t port) : Connection(port, 1 << 16) {}
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool connected() const { return connected_; }

  // Sends a request and returns the first bytes of what comes back.
  std::string ask(const std::string& method, const std::string& url,
                  const std::string& headers = "") {
    const std::string request = method + " " + url +
                                " RTSP/1.0\r\nCSeq: " + std::to_string(++sequence_) + "\r\n" +
                                headers + "\r\n";
    if (::send(socket_, request.data(), request.size(), MSG_NOSIGNAL) < 0) return {};
    std::array<char, 4096> answer{};
    const ssize_t got = ::recv(socket_, answer.data(), answer.size(), 0);
    return got <= 0 ? std::string() : std::string(answer.data(), static_cast<size_t>(got));
  }
  // Waits for the other end to close; false after the deadline.
  bool closed() {
    std::array<char, 65536> rest{};
    while (true) {
      const ssize_t got = ::recv(socket_, rest.data(), rest.size(), 0);
      if (got == 0) return true;
      if (got < 0) return errno == ECONNRESET;
    }
  }

  // Sets up and plays, then never reads again. The session's name, or nothing.
  bool play_and_stop(const std::string& url) {
    if (ask("DESCRIBE", url, "Accept: application/sdp\r\n").find("200 OK") == std::string::npos)
      return false;
    const std::string setup =
        ask("SETUP", url + "/stream=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n");
    const size_t at = setup.find("Session: ");
    if (at == std::string::npos) return false;
    const std::string session = setup.substr(at + 9, setup.find_first_of(";\r", at) - at - 9);
    return ask("PLAY", url, "Session: " + session + "\r\n").find("200 OK") != std::string::npos;
  }

 private:
  int socket_;
  bool connected_ = false;
  int sequence_ = 0;
};

}  // namespace framebus::test
