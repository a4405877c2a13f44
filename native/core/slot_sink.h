// The end of the decode pipeline: a GstBaseSink that hands everything to C++.
#pragma once

#include <gst/gst.h>

namespace framebus {

// Called on streaming threads.
class FrameReceiver {
 public:
  virtual ~FrameReceiver() = default;
  // False refuses the caps.
  virtual bool on_caps(const GstCaps* caps) = 0;
  virtual bool on_allocation(GstQuery* query) = 0;
  // `segment`: the one that the buffer's times are in.
  virtual GstFlowReturn on_buffer(GstBuffer* buffer, const GstSegment* segment) = 0;
};

// Takes I420 and NV12 in system memory, with `cuda` NVDEC's NV12 and P010 in CUDA
// memory as well; does not wait for a clock. The receiver must outlive the
// pipeline. Floating reference.
GstElement* slot_sink_new(FrameReceiver* receiver, bool cuda = false);

}  // namespace framebus
