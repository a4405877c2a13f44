// libnvinfer, loaded at run time.
#pragma once

#include <NvInfer.h>

#include <string>

namespace framebus::tensorrt {

struct TensorrtLibrary {
  std::string version;  // "10.3.0", of what is loaded.
  void* (*create_runtime)(void* logger, int32_t version);
};

// libnvinfer.so.<major version of the headers> as the loader finds it, with its standard
// plugins where they are; never unloaded. Throws EngineError FB_MISSING when it is not
// there, or not one that the headers fit.
const TensorrtLibrary& tensorrt_library();

// "10.3.0" of 100300, "8.6.1" of 8601: what getInferLibVersion() returns.
std::string version_text(int32_t version);

}  // namespace framebus::tensorrt
