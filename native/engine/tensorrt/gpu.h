// The GPU that an engine runs on, and memory there and beside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/cuda_device.h"

namespace framebus::tensorrt {

using Device = std::shared_ptr<const cuda::CudaDevice>;

// The device with this number. Throws EngineError FB_MISSING.
Device open_device(int32_t ordinal);

// "9.0". Throws EngineError FB_FAILED.
std::string compute_capability(const cuda::CudaDevice& device);

// Throws EngineError FB_NO_MEMORY or FB_FAILED unless `result` is success.
void check(cuda::Result result, const char* call);

// Memory on the device that grows; aligned to 256 bytes and more. In its context.
class DeviceBuffer {
 public:
  explicit DeviceBuffer(Device device) : device_(std::move(device)) {}
  ~DeviceBuffer();
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  // At least so many bytes; what was in it is lost when it grows. Throws EngineError.
  void* reserve(size_t bytes);
  void* get() const { return reinterpret_cast<void*>(address_); }
  cuda::Address address() const { return address_; }

 private:
  void free();

  const Device device_;
  cuda::Address address_ = 0;
  size_t bytes_ = 0;
};

// Page-locked host memory that grows.
class HostBuffer {
 public:
  explicit HostBuffer(Device device) : device_(std::move(device)) {}
  ~HostBuffer();
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;

  void* reserve(size_t bytes);
  void* get() const { return memory_; }

 private:
  void free();

  const Device device_;
  void* memory_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace framebus::tensorrt
