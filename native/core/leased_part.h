// A leased frame, or a part of one, that goes into a batch.
#pragma once

#include <memory>
#include <optional>

#include "frame_view.h"
#include "lease_table.h"
#include "preprocess.h"

namespace framebus {

struct LeasedPart {
  std::shared_ptr<Lease> lease;
  std::optional<FrameRegion> region;  // None: all of it.
};

// preprocess() of the part, by the CPU; may wait for a copy from a device. The geometry
// leads to pixels of the whole frame. Throws BUS_MEMORY.
PreprocessGeometry preprocess_part(const LeasedPart& part, const PreprocessSpec& spec,
                                   float* tensor);

// The geometry of a crop as one of the frame that it was taken from.
PreprocessGeometry in_whole_frame(PreprocessGeometry geometry, const FrameCrop& crop);

}  // namespace framebus
