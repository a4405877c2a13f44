// A consumer that speaks the protocol as it likes, for tests of the producer.
#pragma once

#include <sys/un.h>

#include <atomic>
#include <string>

#include "bus_rig.h"
#include "check.h"
#include "core/bus_socket.h"
#include "core/memfd.h"

namespace framebus::test {

inline UniqueFd connect_to(const Directory& directory) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (directory.path() + "/ingest-0.sock").copy(address.sun_path, sizeof(address.sun_path) - 1);
  CHECK(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  return fd;
}

inline Received answer_of(const UniqueFd& fd) {
  Received received;
  CHECK(soon([&] {
    received = receive(fd.get(), true);
    return received.status != Received::Status::kNothing;
  }));
  return received;
}

inline HelloMessage hello() {
  HelloMessage message;
  message.max_held = 4;
  set_field(message.name, "raw");
  set_field(message.group, "infer");
  return message;
}

// Attached to one pool, with its lane to write into.
class RawConsumer {
 public:
  RawConsumer(const Directory& directory, const FramePool& pool) : fd(connect_to(directory)) {
    CHECK(send_message(fd.get(), hello()) == SendResult::kSent);
    CHECK(answer_of(fd).status == Received::Status::kMessage);
    CHECK(send_message(fd.get(), epoch_message<AttachMessage>(pool.epoch(), 1)) ==
          SendResult::kSent);
    const Received received = answer_of(fd);
    const auto message = read_message<PoolMessage>(received.data.data(), received.bytes);
    CHECK(message && received.fds.size() == 2);
    offer = *message;
    lane_ = map_memfd(received.fds[1].get(), lane_bytes(offer.slots), Writers::kAnyHolder);
  }
  void write(uint32_t slot, uint64_t generation, LanePhase phase) {
    lane_word(lane_.data(), slot) = LaneWord{generation, phase}.pack();
  }
  LaneFence fence() const { return static_cast<LaneFence>(lane_header(lane_.data()).fence.load()); }

  UniqueFd fd;
  PoolMessage offer;

 private:
  Mapping lane_;
};

}  // namespace framebus::test
