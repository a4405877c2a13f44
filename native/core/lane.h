// One consumer's leases on one pool, as the producer has them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "bus_layout.h"
#include "memfd.h"

namespace framebus {

// Who attaches to a pool, and how much of it it wants.
struct LaneRequest {
  std::string consumer;
  std::string group;
  uint32_t peer_uid = 0;
  uint32_t hold = kMaxSlots;  // Frames that it wants to hold at once, at most …
  uint32_t min_hold = 1;      // … and at least: fewer will not do.
};

// What a consumer says of itself; any value is possible.
struct LaneCounts {
  uint64_t delivered = 0;
  uint64_t stale = 0;
  uint64_t quota = 0;
  uint64_t displaced = 0;
  uint64_t held = 0;
  uint64_t held_most = 0;
};

// Made and ended by the bus server; the consumer maps the same memory.
class Lane {
 public:
  // `group`: index on the pool's route, or kNoGroup. `hold`: frames that it may
  // hold.
  Lane(Memfd memory, LaneRequest owner, uint32_t group, uint32_t hold)
      : owner_(std::move(owner)), group_(group), hold_(hold), memory_(std::move(memory)) {}

  int fd() const { return memory_.fd.get(); }
  // Once the consumer has its own descriptor.
  void close_fd() { memory_.fd.reset(); }

  const LaneRequest& owner() const { return owner_; }
  uint32_t group() const { return group_; }
  uint32_t hold() const { return hold_; }
  uint64_t word(uint32_t slot) const {
    return lane_word(memory_.mapping.data(), slot).load(std::memory_order_seq_cst);
  }
  LaneCounts counts() const;

  // The consumer can lease nothing through this lane any more, and what it has
  // leased is void. Before the pool stops to look at the lane.
  void fence(LaneFence why);

 private:
  const LaneRequest owner_;
  const uint32_t group_;
  const uint32_t hold_;
  Memfd memory_;
};

}  // namespace framebus
