#include "tensor.h"

#include <type_traits>
#include <utility>

namespace framebus::tensorrt {

#if NV_TENSORRT_MAJOR >= 10
void* OutputAllocator::reallocateOutputAsync(const char*, void*, uint64_t size, uint64_t,
                                             cudaStream_t) {
  return allocate(size);
}
#else
void* OutputAllocator::reallocateOutput(const char*, void*, uint64_t size, uint64_t) noexcept {
  return allocate(size);
}
#endif

void* OutputAllocator::allocate(uint64_t size) noexcept {
  try {
    return buffer_.reserve(size);
  } catch (...) {
    return nullptr;  // TensorRT then fails the run.
  }
}

void OutputAllocator::notifyShape(const char*, const nvinfer1::Dims& dims) noexcept {
  shape_ = dims;
}

Tensor::Tensor(std::string tensor_name, const Device& gpu)
    : name(std::move(tensor_name)), device(gpu), host(gpu) {}

int32_t type_of(nvinfer1::DataType type) {
  using nvinfer1::DataType;
  switch (type) {
    case DataType::kFLOAT:
      return FB_FLOAT32;
    case DataType::kHALF:
      return FB_FLOAT16;
    case DataType::kINT8:
      return FB_INT8;
    case DataType::kINT32:
      return FB_INT32;
    case DataType::kBOOL:
      return FB_BOOL;
    case DataType::kUINT8:
      return FB_UINT8;
#if NV_TENSORRT_MAJOR >= 10
    case DataType::kINT64:
      return FB_INT64;
#endif
    default:
      return 0;
  }
}

Dims to_dims(const nvinfer1::Dims& dims) {
  Dims out{};
  for (int32_t i = 0; i < dims.nbDims && i < FB_ENGINE_MAX_RANK; ++i) {
    out[static_cast<size_t>(i)] = dims.d[i];
  }
  return out;
}

nvinfer1::Dims from_dims(const Dims& dims, uint32_t rank) {
  using Length = std::remove_reference_t<decltype(nvinfer1::Dims::d[0])>;
  nvinfer1::Dims out{};
  out.nbDims = static_cast<int32_t>(rank);
  for (uint32_t i = 0; i < rank; ++i) out.d[i] = static_cast<Length>(dims[i]);
  return out;
}

std::string text_of(const Dims& low, const Dims& high, uint32_t rank) {
  std::string text = "[";
  for (uint32_t i = 0; i < rank; ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(low[i]);
    if (low[i] != high[i]) text += " to " + std::to_string(high[i]);
  }
  return text + "]";
}

}  // namespace framebus::tensorrt
