// A batch of leased frames, or of parts of them -> its input tensor, each frame where it lies.
#pragma once

#include <span>
#include <vector>

#include "leased_part.h"
#include "preprocess.h"

namespace framebus {

// preprocess() into host memory, tensor_size(spec) floats a part. Frames in GPU memory
// are preprocessed there, one launch for all that follow one another, and only tensors
// come to the host; without a compiler (see probe_cuda_preprocess()) frames come, and the
// CPU does it. Has read the frames when it returns. Geometries lead to pixels of the
// whole frames. Throws BUS_MEMORY, NO_SPACE.
std::vector<PreprocessGeometry> preprocess_parts(std::span<const LeasedPart> parts,
                                                 const PreprocessSpec& spec, float* tensor);

}  // namespace framebus
