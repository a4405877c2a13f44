#include "gpu.h"

#include <algorithm>

#include "core/error.h"
#include "engine/framebus_engine.h"
#include "engine_error.h"

namespace framebus::tensorrt {
namespace {

constexpr size_t kSmallest = 256;         // TensorRT wants an address for empty tensors, too.
constexpr size_t kGranularity = 1 << 12;  // So that growing by little costs nothing.

size_t rounded(size_t bytes) {
  return (std::max(bytes, kSmallest) + kGranularity - 1) / kGranularity * kGranularity;
}

Device device_of(int32_t ordinal) {
  int count = 0;
  check(cuda::driver().device_count(&count), "cuDeviceGetCount");
  if (ordinal < 0 || ordinal >= count) {
    throw EngineError(FB_MISSING, "TensorRT: there is no GPU " + std::to_string(ordinal) +
                                      ", this process sees " + std::to_string(count));
  }
  cuda::Device device = 0;
  cuda::Uuid uuid;
  check(cuda::driver().device_get(&device, ordinal), "cuDeviceGet");
  check(cuda::driver().device_uuid(&uuid, device), "cuDeviceGetUuid");
  return cuda::CudaDevice::with(uuid);
}

}  // namespace

Device open_device(int32_t ordinal) {
  try {
    return device_of(ordinal);
  } catch (const Error& error) {
    // "CUDA memory: cause; remedy", whose remedy is for pools.
    const std::string text = error.what();
    throw EngineError(FB_MISSING, "TensorRT: no GPU: " + text.substr(0, text.find(';')));
  }
}

std::string compute_capability(const cuda::CudaDevice& device) {
  int major = 0;
  int minor = 0;
  check(cuda::driver().device_attribute(&major, cuda::kAttributeMajor, device.device()),
        "cuDeviceGetAttribute");
  check(cuda::driver().device_attribute(&minor, cuda::kAttributeMinor, device.device()),
        "cuDeviceGetAttribute");
  return std::to_string(major) + "." + std::to_string(minor);
}

void check(cuda::Result result, const char* call) {
  if (result == cuda::kSuccess) return;
  const int32_t status = result == cuda::kErrorOutOfMemory ? FB_NO_MEMORY : FB_FAILED;
  throw EngineError(status, std::string(call) + ": " + cuda::text_of(result));
}

DeviceBuffer::~DeviceBuffer() { free(); }

void DeviceBuffer::free() {
  if (address_ != 0) {
    const cuda::CurrentContext current(device_->context());
    cuda::driver().memory_free(address_);
  }
  address_ = 0;
  bytes_ = 0;
}

void* DeviceBuffer::reserve(size_t bytes) {
  if (address_ == 0 || bytes > bytes_) {
    free();
    check(cuda::driver().memory_alloc(&address_, rounded(bytes)), "cuMemAlloc");
    bytes_ = rounded(bytes);
  }
  return get();
}

HostBuffer::~HostBuffer() { free(); }

void HostBuffer::free() {
  if (memory_ != nullptr) {
    const cuda::CurrentContext current(device_->context());
    cuda::driver().host_free(memory_);
  }
  memory_ = nullptr;
  bytes_ = 0;
}

void* HostBuffer::reserve(size_t bytes) {
  if (memory_ == nullptr || bytes > bytes_) {
    free();
    check(cuda::driver().host_alloc(&memory_, rounded(bytes), 0), "cuMemHostAlloc");
    bytes_ = rounded(bytes);
  }
  return memory_;
}

}  // namespace framebus::tensorrt
