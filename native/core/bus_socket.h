// The unix socket between producer and consumers: where it lies, who owns its
// name, and messages with descriptors over it. Nothing here blocks.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bus_message.h"
#include "unique_fd.h"

namespace framebus {

// `<directory>/<producer>.sock`; throws BUS_DIRECTORY when it is too long for
// a socket address.
std::string bus_socket_path(const std::string& directory, const std::string& producer);

// A bound, listening socket and the lock on its name. The lock outlives a
// crash of nobody: what a dead producer left is replaced, a living one is
// never disturbed.
class BusListener {
 public:
  // Throws BUS_DIRECTORY, BUS_IN_USE. `open_to_all`: any uid may connect as far
  // as the socket's own mode goes (the directory's mode and SO_PEERCRED decide).
  BusListener(const std::string& directory, const std::string& producer, bool open_to_all);
  // Removes the socket and the lock.
  ~BusListener();
  BusListener(const BusListener&) = delete;
  BusListener& operator=(const BusListener&) = delete;

  int fd() const { return socket_.get(); }

 private:
  std::string path_;
  std::string lock_path_;
  UniqueFd lock_;
  UniqueFd socket_;
};

// kFull: the peer does not read. kGone: there is no peer any more.
enum class SendResult { kSent, kFull, kGone };

SendResult send_bytes(int fd, const void* data, size_t bytes, const std::vector<int>& fds);

template <class Message>
SendResult send_message(int fd, const Message& message, const std::vector<int>& fds = {}) {
  static_assert(std::has_unique_object_representations_v<Message>, "no padding on the wire");
  return send_bytes(fd, &message, sizeof(message), fds);
}

// One received datagram. kNothing: none is there now.
struct Received {
  enum class Status { kMessage, kNothing, kGone };
  Status status = Status::kNothing;
  alignas(8) std::array<char, kMessageBytes> data;
  size_t bytes = 0;           // More than a message has when it is malformed.
  std::vector<UniqueFd> fds;  // Close-on-exec.
  // Descriptors came that were not wanted, or for which this process has no room.
  bool lost_fds = false;
};

// `accept_fds`: without it the kernel discards descriptors that the peer sends,
// and the message counts as malformed.
Received receive(int fd, bool accept_fds);

}  // namespace framebus
