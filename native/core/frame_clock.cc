#include "frame_clock.h"

#include <algorithm>
#include <chrono>

namespace framebus {

namespace {

constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kDefaultDuration = 40 * kMillisecond;  // Nobody says: 25 frames a second.
constexpr uint64_t kLongestDuration = 10'000 * kMillisecond;
// Times that jump back by more than this have started anew.
constexpr int64_t kDiscontinuity = 1'000 * static_cast<int64_t>(kMillisecond);
constexpr uint64_t kHopelesslyLate = 1'000 * kMillisecond;

}  // namespace

uint64_t now_unix_ns() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

void FrameClock::begin_pass() { pass_begins_ = true; }

uint64_t FrameClock::next(std::optional<uint64_t> running_ns, std::optional<uint64_t> duration_ns,
                          uint64_t nominal_ns) {
  const uint64_t follow = any_ ? last_pts_ns_ + last_duration_ns_ : 0;
  uint64_t pts = follow;
  if (running_ns) {
    const auto running = static_cast<int64_t>(*running_ns);
    int64_t candidate = running + offset_ns_;
    const bool jumped_back =
        any_ && candidate < static_cast<int64_t>(last_pts_ns_) - kDiscontinuity;
    if (pass_begins_ || jumped_back) {
      offset_ns_ = static_cast<int64_t>(follow) - running;
      candidate = static_cast<int64_t>(follow);
    }
    pass_begins_ = false;
    // Two frames never share a time, however the file is made.
    const int64_t lowest = any_ ? static_cast<int64_t>(last_pts_ns_ + 1) : 0;
    pts = static_cast<uint64_t>(std::max(candidate, lowest));
  }
  const uint64_t between = any_ && pts > last_pts_ns_ ? pts - last_pts_ns_ : kDefaultDuration;
  uint64_t duration = duration_ns.value_or(nominal_ns);
  if (duration == 0 || duration > kLongestDuration) duration = nominal_ns;
  if (duration == 0) duration = std::min(between, kLongestDuration);
  any_ = true;
  last_pts_ns_ = pts;
  last_duration_ns_ = duration;
  return pts;
}

uint64_t FrameClock::due(uint64_t pts_ns, uint64_t now_ns) {
  if (!due_anchor_ns_) due_anchor_ns_ = now_ns - pts_ns;
  uint64_t due_ns = *due_anchor_ns_ + pts_ns;
  if (now_ns > due_ns + kHopelesslyLate) {
    due_anchor_ns_ = now_ns - pts_ns;
    due_ns = now_ns;
  }
  return due_ns;
}

uint64_t FrameClock::file_capture_unix_ns(uint64_t pts_ns) {
  if (!wall_anchor_ns_) wall_anchor_ns_ = now_unix_ns() - pts_ns;
  return *wall_anchor_ns_ + pts_ns;
}

}  // namespace framebus
