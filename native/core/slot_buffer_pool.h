// The GstBufferPool that is offered to decoders: its buffers are slots of the bus.
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include <memory>

#include "slot_store.h"

namespace framebus {

// Where a SlotBufferPool gets its memory. Called on streaming threads.
class SlotSupplier {
 public:
  virtual ~SlotSupplier() = default;
  // Memory for one frame of this format and layout; null when the pipeline must
  // stop. May wait. The layout's strides and offsets are binding.
  virtual std::shared_ptr<SlotBlock> supply(const GstVideoInfo& info,
                                            const PlaneLayout& layout) = 0;
};

// A pool for ALLOCATION queries: unlimited, with GstVideoMeta and video
// alignment. The supplier must outlive the pipeline. Transfer full.
GstBufferPool* slot_buffer_pool_new(SlotSupplier* supplier);

// Strides and offsets of an (aligned) video info.
PlaneLayout layout_of(const GstVideoInfo& info);

}  // namespace framebus
