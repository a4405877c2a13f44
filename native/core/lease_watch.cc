#include "lease_watch.h"

namespace framebus {
namespace {

std::string seconds(int64_t ns) {
  const int64_t tenths = ns / 100'000'000;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

}  // namespace

std::optional<std::string> LeaseWatch::look(const FramePool& pool, const Lane& lane, int64_t now_ns,
                                            int64_t deadline_ns) {
  seen_.resize(pool.options().slots);
  ++looks_;
  pool.leased(lane, leased_);
  // A look takes its time, in which the consumer may let one frame go and lease
  // another. Only leases that were there at the last look, too, were there all at once.
  uint32_t at_once = 0;
  for (const HeldSlot& held : leased_) {
    Seen& seen = seen_[held.slot];
    const bool still = seen.generation == held.generation && seen.look + 1 == looks_;
    if (!still) seen = {held.generation, now_ns, looks_};
    seen.look = looks_;
    at_once += still ? 1 : 0;
    const int64_t age_ns = now_ns - seen.since_ns;
    if (deadline_ns > 0 && age_ns > deadline_ns) {
      return "it has held slot " + std::to_string(held.slot) + ", generation " +
             std::to_string(held.generation) + ", of stream '" + pool.options().stream_id +
             "' for " + seconds(age_ns) + "; leases end after " + seconds(deadline_ns);
    }
  }
  if (at_once <= lane.hold()) return std::nullopt;
  return "it holds " + std::to_string(at_once) + " frames of stream '" + pool.options().stream_id +
         "' and may hold " + std::to_string(lane.hold());
}

}  // namespace framebus
