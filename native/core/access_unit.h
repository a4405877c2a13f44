// Encoded pictures on their way to everybody who watches an output.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gst_ptr.h"

namespace framebus {

// One encoded picture: H.264 as avc, H.265 as hvc1 (4-byte lengths, parameter sets in
// the caps' codec_data). Its buffer is shared between all sinks and never written.
struct AccessUnit {
  GstBuffer* buffer = nullptr;  // Borrowed for the call.
  GstCaps* caps = nullptr;      // Borrowed for the call.
  uint64_t seq = 0;
  int64_t pts_ns = 0;     // As pushed into the output.
  uint64_t time_ns = 0;   // The output's own time: starts at 0, strictly increasing.
  bool keyframe = false;  // A decoder can start here.
  size_t bytes = 0;
};

// Somebody who takes encoded pictures.
class AccessUnitSink {
 public:
  virtual ~AccessUnitSink() = default;
  // Called on the encoder's thread, never concurrently; must not block, nor call
  // the fan-out. False: never call again, the sink has ended.
  virtual bool on_access_unit(const AccessUnit& unit) = 0;
  // The output is closing or has failed. Called at most once, last.
  virtual void on_output_end(const char* reason) = 0;
};

}  // namespace framebus
