// What a plan really calculates with.
#pragma once

#include <NvInfer.h>

#include <string>

namespace framebus::tensorrt {

// "int8", "fp8", "bf16", "fp16" when any layer reads or writes such numbers, "fp32" when
// none does; empty when the plan does not say (it does with --profilingVerbosity=detailed).
std::string actual_precision(const nvinfer1::ICudaEngine& engine);

// The same of what the engine's inspector prints.
std::string precision_of(const std::string& layers);

}  // namespace framebus::tensorrt
