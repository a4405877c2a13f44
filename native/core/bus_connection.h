// One consumer as the producer sees it: who it is, and its lanes.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bus_server.h"
#include "bus_socket.h"
#include "frame_pool.h"
#include "lease_watch.h"

namespace framebus {

// Where a connection finds the pools that are on offer.
class PoolDirectory {
 public:
  virtual std::shared_ptr<FramePool> find_pool(const std::string& epoch) = 0;

 protected:
  ~PoolDirectory() = default;
};

// What came of a peer's hello; no refusal: it is admitted.
struct Greeting {
  std::string refusal;
};

// Used by the server's thread alone. Never blocks, never throws for what a
// peer does: it becomes over() with a reason.
class BusConnection {
 public:
  // `refusal`: what to answer to the hello, empty to admit the peer if it knows
  // the token (all zeros: none is asked for).
  BusConnection(UniqueFd fd, uint32_t peer_uid, std::string refusal,
                const std::array<char, kTokenBytes>& token);

  struct Progress {
    bool more = false;  // There may be another message.
    std::optional<Greeting> greeting;
  };
  // Reads and answers one message.
  Progress read(PoolDirectory& pools);

  // Tells the consumer of pools that have drained since; ends a peer that has
  // not said hello in time, that keeps a lease for too long (0: no limit), or
  // that holds more than it may.
  void tick(const std::vector<std::string>& drained, int64_t lease_deadline_ns);

  // Returns the consumer's leases and closes the socket. `fence`: they are void
  // for the consumer, too, should it live. Idempotent.
  std::vector<HeldFrame> end(bool fence);

  bool over() const { return !end_reason_.empty(); }
  // Ended because of how it used its leases.
  bool revoked() const { return revoked_; }
  const std::string& end_reason() const { return end_reason_; }
  bool greeted() const { return greeted_; }
  const std::string& name() const { return name_; }
  const std::string& group() const { return group_; }
  uint32_t peer_uid() const { return peer_uid_; }

 private:
  struct Attachment {
    std::shared_ptr<FramePool> pool;
    std::shared_ptr<Lane> lane;
    LeaseWatch watch = {};
    bool drained = false;  // A notice is due, or was sent.
    bool told = false;
  };

  Greeting greet(const Received& received);
  std::string refusal_of(const Received& received);
  void attach(const std::string& epoch, const AttachMessage& message, PoolDirectory& pools);
  void drop(uint64_t ticket);
  void handle(const Received& received, PoolDirectory& pools);
  void fail(const std::string& reason);
  template <class Message>
  void answer(const Message& message, const std::vector<int>& fds = {});

  UniqueFd fd_;
  const uint32_t peer_uid_;
  const std::string refusal_;
  const std::array<char, kTokenBytes> token_;
  const int64_t hello_deadline_ns_;
  bool greeted_ = false;
  std::string name_;
  std::string group_;
  std::string end_reason_;
  bool revoked_ = false;
  std::map<uint64_t, Attachment> attachments_;  // By ticket.
};

}  // namespace framebus
