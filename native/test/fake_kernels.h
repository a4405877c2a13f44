// The fake driver's modules and kernels: it runs those that it has been built with, on
// the CPU.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <string>

#include "core/cuda_driver.h"
#include "core/cuda_preprocess_kernel.h"

namespace framebus::cuda {

// Modules made of what the fake compiler gives: "FAKE CUBIN sm_90" (or PTX), and the
// names of its kernels, a line each.
class FakeModules {
 public:
  unsigned size() const { return static_cast<unsigned>(modules_.size()); }

  Result load(Module* module, const std::string& code) {
    constexpr Result kInvalidImage = 200;
    if (!code.starts_with("FAKE CUBIN sm_90\n") && !code.starts_with("FAKE PTX compute_"))
      return kInvalidImage;
    *module = reinterpret_cast<Module>(++last_);
    modules_[*module] = code;
    return kSuccess;
  }
  Result unload(Module module) { return modules_.erase(module) == 1 ? kSuccess : kInvalidHandle; }
  Result function(Function* function, Module module, const std::string& name) const {
    constexpr Result kNotFound = 500;
    const auto found = modules_.find(module);
    if (found == modules_.end()) return kInvalidHandle;
    std::string line = name;
    line.insert(line.begin(), '\n');
    line.push_back('\n');
    if (name != "framebus_preprocess" || found->second.find(line) == std::string::npos)
      return kNotFound;
    *function = reinterpret_cast<Function>(module);
    return kSuccess;
  }
  bool has(Function function) const {
    return modules_.contains(reinterpret_cast<Module>(function));
  }

 private:
  static constexpr Result kInvalidHandle = 400;
  std::map<Module, std::string> modules_;
  size_t last_ = 0;
};

// Whether memory from an address on may be used so.
using Reaches = bool (*)(Address address, size_t bytes, int access);

// Every byte of a frame's planes, and of its tensor.
inline bool reaches_frame(const kernel::Batch& batch, const kernel::Frame& frame, Reaches reaches) {
  const auto rows = [&](const unsigned char* plane, size_t stride, size_t bytes, size_t count) {
    return reaches(reinterpret_cast<Address>(plane), stride * (count - 1) + bytes,
                   AccessDescription::kRead);
  };
  const size_t step = frame.chroma_step;
  const size_t chroma = (frame.width + 1) / 2 * step - (step - 1);
  const size_t chroma_rows = (frame.height + 1) / 2;
  const size_t floats = size_t{3} * batch.width * batch.height;
  return rows(frame.y, frame.y_stride, frame.width, frame.height) &&
         rows(frame.u, frame.u_stride, chroma, chroma_rows) &&
         rows(frame.v, frame.v_stride, chroma, chroma_rows) &&
         reaches(reinterpret_cast<Address>(frame.tensor), floats * sizeof(float),
                 AccessDescription::kReadWrite);
}

// framebus_preprocess over a grid, thread after thread.
inline Result run_preprocess(const void* argument, unsigned width, unsigned height, unsigned frames,
                             Reaches reaches) {
  constexpr Result kInvalidValue = 1;
  constexpr Result kIllegalAddress = 700;
  kernel::Batch batch;
  std::memcpy(&batch, argument, sizeof(batch));
  if (width == 0 || height == 0 || frames == 0 || frames > kernel::kMostFrames)
    return kInvalidValue;
  for (unsigned i = 0; i < frames; ++i) {
    if (!reaches_frame(batch, batch.frames[i], reaches)) return kIllegalAddress;
    for (unsigned y = 0; y < std::min(height, batch.height); ++y) {
      for (unsigned x = 0; x < std::min(width, batch.width); ++x)
        kernel::preprocess_pixel(batch, batch.frames[i], x, y);
    }
  }
  return kSuccess;
}

}  // namespace framebus::cuda
