// How long one consumer has had its leases on one pool, seen tick by tick.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "frame_pool.h"

namespace framebus {

class LeaseWatch {
 public:
  // Looks at the lane and says why its consumer must be fenced, if it must: a
  // lease is older than the deadline (0: there is none), or there are more than
  // granted. Ages count from the look that saw the lease first; a frame that is
  // let go of and leased again between two looks is leased all the time.
  std::optional<std::string> look(const FramePool& pool, const Lane& lane, int64_t now_ns,
                                  int64_t deadline_ns);

 private:
  struct Seen {
    uint64_t generation = 0;
    int64_t since_ns = 0;
    uint64_t look = 0;
  };
  std::vector<Seen> seen_;  // By slot.
  std::vector<HeldSlot> leased_;
  uint64_t looks_ = 0;
};

}  // namespace framebus
