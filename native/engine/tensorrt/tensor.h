// One input or output of a plan.
#pragma once

#include <NvInfer.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/framebus_engine.h"
#include "gpu.h"

namespace framebus::tensorrt {

using Dims = std::array<int64_t, FB_ENGINE_MAX_RANK>;

// Where TensorRT writes an output whose size it knows only when it has run.
class OutputAllocator : public nvinfer1::IOutputAllocator {
 public:
  explicit OutputAllocator(DeviceBuffer& buffer) : buffer_(buffer) {}

#if NV_TENSORRT_MAJOR >= 10
  void* reallocateOutputAsync(const char* name, void* current, uint64_t size, uint64_t alignment,
                              cudaStream_t stream) override;
#else
  void* reallocateOutput(const char* name, void* current, uint64_t size,
                         uint64_t alignment) noexcept override;
#endif
  void notifyShape(const char* name, const nvinfer1::Dims& dims) noexcept override;

  // Before each run.
  void forget() { shape_.reset(); }
  // None until TensorRT has told.
  const std::optional<nvinfer1::Dims>& shape() const { return shape_; }

 private:
  void* allocate(uint64_t size) noexcept;

  DeviceBuffer& buffer_;  // Borrowed from the tensor.
  std::optional<nvinfer1::Dims> shape_;
};

struct Tensor {
  Tensor(std::string tensor_name, const Device& gpu);

  std::string name;
  bool is_input = false;
  bool on_host = false;  // TensorRT wants it in host memory: it holds a shape.
  int32_t type = 0;      // FB_FLOAT32 …
  uint32_t rank = 0;
  Dims dims{};  // −1: open.
  // Of the profile, for inputs.
  Dims least{};
  Dims optimal{};
  Dims most{};
  DeviceBuffer device;
  HostBuffer host;  // Of outputs.
  std::unique_ptr<OutputAllocator> allocator;
};

// The ABI's type; 0 when it has none for it.
int32_t type_of(nvinfer1::DataType type);

// TensorRT's dimensions are 32 bits wide in 8, 64 in 10.
Dims to_dims(const nvinfer1::Dims& dims);
nvinfer1::Dims from_dims(const Dims& dims, uint32_t rank);

// "[1 to 8, 3, 640, 640]" of the lowest and the highest, "[4, 3, 640, 640]" when they are the same.
std::string text_of(const Dims& low, const Dims& high, uint32_t rank);

}  // namespace framebus::tensorrt
