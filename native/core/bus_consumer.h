// The consumer's side of the bus: pools mapped from producers, and leases.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "pool_view.h"

namespace framebus {

// As BusConsumerOptions of contract.ts.
struct BusConsumerOptions {
  std::string directory = {};
  std::string name = {};
  std::string group = {};
  uint32_t max_held = 0;
  uint32_t hold = kMaxSlots;  // Frames of one pool that it wants to hold at once.
  uint32_t min_hold = 1;      // Fewer will not do.
  std::string token = {};
};

// A producer is gone, and its pools with it; attach again when it is back.
struct DetachedEvent {
  std::string producer;
  std::string reason;
  // It has fenced this consumer: all leases on its frames are void.
  bool revoked = false;
};

// Thread-safe.
class BusConsumer {
 public:
  // Called on threads of the consumer, without locks held; never after close().
  using Listener = std::function<void(DetachedEvent event)>;

  // Throws BAD_OPTIONS.
  static std::shared_ptr<BusConsumer> create(const BusConsumerOptions& options, Listener listener);
  virtual ~BusConsumer() = default;

  // Maps the pool; returns at once if it is mapped. Waits for the producer for
  // some seconds at most: not for Node's thread. Throws BAD_OPTIONS,
  // BUS_UNREACHABLE, BUS_REFUSED, BUS_ADMISSION, BUS_EPOCH_GONE, BUS_MEMORY,
  // MEMORY_UNSUPPORTED, BUS_CLOSED.
  virtual void attach(const std::string& producer, const std::string& epoch) = 0;
  virtual std::variant<std::shared_ptr<SlotLease>, LeaseRefusal> lease(const std::string& epoch,
                                                                       uint32_t slot,
                                                                       uint64_t generation) = 0;
  // Leases that have not ended, over all producers.
  virtual uint32_t held() const = 0;
  // Frames of the pool that may be held at once, as granted; 0: not attached.
  virtual uint32_t hold(const std::string& epoch) const = 0;
  // Counts frames that the caller has let go by for newer ones.
  virtual void count_displaced(const std::string& epoch, uint32_t frames) = 0;
  // No more leases. Those that there are stay good: a connection is kept until
  // the last lease on it has ended. Idempotent.
  virtual void close() = 0;
};

}  // namespace framebus
