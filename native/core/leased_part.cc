#include "leased_part.h"

namespace framebus {

PreprocessGeometry in_whole_frame(PreprocessGeometry geometry, const FrameCrop& crop) {
  geometry.offset_x -= crop.x * geometry.scale_x;
  geometry.offset_y -= crop.y * geometry.scale_y;
  return geometry;
}

PreprocessGeometry preprocess_part(const LeasedPart& part, const PreprocessSpec& spec,
                                   float* tensor) {
  const FrameRead read = part.lease->read();
  if (!part.region) return preprocess(read.view(), spec, tensor);
  const FrameCrop cropped = crop(read.view(), *part.region);
  return in_whole_frame(preprocess(cropped.view, spec, tensor), cropped);
}

}  // namespace framebus
