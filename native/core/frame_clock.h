// Time of a source's frames: one rising timeline over loops and gaps.
#pragma once

#include <cstdint>
#include <optional>

#include "monotonic.h"

namespace framebus {

inline uint64_t now_monotonic_ns() { return static_cast<uint64_t>(monotonic_ns()); }
uint64_t now_unix_ns();

// Not thread-safe: used by one streaming thread at a time.
class FrameClock {
 public:
  // The file starts again: the next frame follows the last one by a frame's time.
  void begin_pass();

  // Presentation time of the next frame, from 0, always rising. `running_ns`:
  // GStreamer's running time, `duration_ns`: how long the frame shows, if known.
  uint64_t next(std::optional<uint64_t> running_ns, std::optional<uint64_t> duration_ns,
                uint64_t nominal_ns);

  // When a frame is due on CLOCK_MONOTONIC, for files played at their own pace.
  // The first frame is due now; a source that fell far behind starts counting anew.
  uint64_t due(uint64_t pts_ns, uint64_t now_ns);

  // Wall clock at the start of playing, plus the file's own time.
  uint64_t file_capture_unix_ns(uint64_t pts_ns);

 private:
  bool any_ = false;
  bool pass_begins_ = true;
  uint64_t last_pts_ns_ = 0;
  uint64_t last_duration_ns_ = 0;
  int64_t offset_ns_ = 0;  // pts = running + offset.
  std::optional<uint64_t> due_anchor_ns_;
  std::optional<uint64_t> wall_anchor_ns_;
};

}  // namespace framebus
