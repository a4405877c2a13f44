#include "lane.h"

namespace framebus {

LaneCounts Lane::counts() const {
  const LaneHeader& header = lane_header(memory_.mapping.data());
  const auto read = [](const std::atomic<uint64_t>& count) {
    return count.load(std::memory_order_relaxed);
  };
  LaneCounts counts;
  counts.delivered = read(header.delivered);
  counts.stale = read(header.stale);
  counts.quota = read(header.quota);
  counts.displaced = read(header.displaced);
  counts.held = read(header.held);
  counts.held_most = read(header.held_most);
  return counts;
}

void Lane::fence(LaneFence why) {
  lane_header(memory_.mapping.data())
      .fence.store(static_cast<uint64_t>(why), std::memory_order_seq_cst);
}

}  // namespace framebus
