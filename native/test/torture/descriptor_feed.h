// The descriptor plane of the torture: one SEQPACKET pair between the referee
// and each process. Frames go from a producer to a consumer through the
// referee, which loses, doubles and delays them.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "core/bus_message.h"
#include "core/unique_fd.h"
#include "frame_pattern.h"

namespace framebus::test {

enum class Note : uint32_t {
  kReady,      // A process has started. `count`: its descriptors that are neither socket nor memfd.
  kFailure,    // `text`: what must not happen has happened.
  kPublished,  // Producer: a frame is in its pool.
  kHint,       // Producer, then referee: where a frame lies.
  kGaveBack,   // Producer: the member that held the frame is gone; it will be offered again.
  kClosed,     // Producer: nobody of the group has had the frame, nobody can lease it any more.
  kDetached,   // Producer: `member` is gone, `text` says why.
  kEpoch,      // Producer: a new pool.
  kDrained,    // Producer: nothing is pending. `count`: consumers attached, `value`: free slots.
  kChecked,    // Producer: every slot could be had.
  kDone,       // Consumer: verified under a lease that was valid afterwards.
  kRevoked,    // Consumer: the lease was not valid any more.
  kStale,      // Consumer: it could not lease the frame.
  kSkipped,    // Consumer: newer ones had come, or it had done this one before.
  kUnreached,  // Consumer: attach failed, `text` says why.
  kReset,      // Referee: shut an attach socket down.
  kDrain,      // Referee: publish no more, answer kDrained.
  kCheck,      // Referee: answer kChecked.
  kResume,     // Referee: go on.
  kState,      // Referee: say what you wait for; the answer, `text`.
  kQuit,       // Referee: close everything and end.
};

struct Packet {
  Note note{};
  uint32_t group = 0;
  FrameName frame;
  uint32_t attempt = 0;  // How often the frame was given back before.
  uint32_t slot = 0;
  uint64_t generation = 0;
  uint32_t member = 0;  // Index of a consumer.
  uint32_t count = 0;
  uint64_t value = 0;
  std::array<char, kEpochDigits> epoch{};
  std::array<char, 200> text{};
};

class DescriptorFeed {
 public:
  explicit DescriptorFeed(UniqueFd fd) : fd_(std::move(fd)) {}
  DescriptorFeed() = default;

  static std::pair<UniqueFd, UniqueFd> pair() {
    std::array<int, 2> ends{-1, -1};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return {};
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
  }

  int fd() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  void close() { fd_.reset(); }

  // Waits while the other side does not read; false when it is gone. Thread-safe.
  bool tell(const Packet& packet) const {
    while (true) {
      if (::send(fd_.get(), &packet, sizeof(packet), MSG_NOSIGNAL) >= 0) return true;
      if (errno != EINTR) return false;
    }
  }
  // False, too, when the other side has too much to read already.
  bool offer(const Packet& packet) const {
    return ::send(fd_.get(), &packet, sizeof(packet), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
  }
  // Nothing when nothing is there; `gone` when nothing will come.
  std::optional<Packet> take(bool& gone) const {
    while (true) {
      Packet packet;
      const ssize_t got = ::recv(fd_.get(), &packet, sizeof(packet), MSG_DONTWAIT);
      if (got == static_cast<ssize_t>(sizeof(packet))) return packet;
      // Who died without having read everything resets the connection: the kernel
      // says so first, and then gives what the dead one had said.
      if (got < 0 && (errno == ECONNRESET || errno == EINTR)) continue;
      if (got >= 0 || errno != EAGAIN) gone = true;
      return std::nullopt;
    }
  }

  void fail(const std::string& what) const {
    Packet packet;
    packet.note = Note::kFailure;
    set_field(packet.text, what);
    tell(packet);
  }

 private:
  UniqueFd fd_;
};

}  // namespace framebus::test
