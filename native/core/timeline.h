// An output's own time: what players get, whatever the source's timestamps do.
#pragma once

#include <algorithm>
#include <cstdint>

namespace framebus {

// Keeps the spacing of the source's timestamps, starts at 0, and is strictly
// increasing. Where the source's clock jumps (a restarted camera, a new epoch)
// the time that passed on our clock is taken instead.
class Timeline {
 public:
  // `pts_ns` of the source; `now_ns` monotonic, when the frame came.
  uint64_t place(int64_t pts_ns, int64_t now_ns) {
    if (!started_) {
      started_ = true;
    } else {
      const int64_t arrived = std::max<int64_t>(now_ns - last_now_ns_, kLeastStepNs);
      const int64_t spaced = pts_ns - last_pts_ns_;
      const bool jumped = spaced < kLeastStepNs || spaced > arrived + kJumpNs;
      time_ns_ += static_cast<uint64_t>(jumped ? std::min(arrived, kJumpNs) : spaced);
    }
    last_pts_ns_ = pts_ns;
    last_now_ns_ = now_ns;
    return time_ns_;
  }

 private:
  static constexpr int64_t kJumpNs = 10'000'000'000;
  // The muxers' clocks tick at 90 kHz; two pictures must not share a tick.
  static constexpr int64_t kLeastStepNs = 100'000;

  bool started_ = false;
  uint64_t time_ns_ = 0;
  int64_t last_pts_ns_ = 0;
  int64_t last_now_ns_ = 0;
};

}  // namespace framebus
