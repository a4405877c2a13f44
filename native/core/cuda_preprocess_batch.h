// What the GPU's preprocessing is told of a batch.
#pragma once

#include <span>

#include "cuda_preprocess_kernel.h"
#include "frame_view.h"
#include "preprocess.h"

namespace framebus {

// Frames of at most kernel::kMostFrames; their planes are device addresses (borrowed).
// `tensor`: on the device, tensor_size(spec) floats a frame.
kernel::Batch preprocess_batch(std::span<const FrameView> frames, const PreprocessSpec& spec,
                               float* tensor);

}  // namespace framebus
