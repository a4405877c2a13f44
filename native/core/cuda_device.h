// One GPU and its primary context, which everything of this process on it shares.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cuda_driver.h"

namespace framebus::cuda {

// Thread-safe. The context is given back with the last owner.
class CudaDevice {
 public:
  // The first that CUDA_VISIBLE_DEVICES lets this process see. Throws
  // MEMORY_UNSUPPORTED, BUS_MEMORY.
  static std::shared_ptr<const CudaDevice> first();
  // The one with this identity. Throws MEMORY_UNSUPPORTED when it is not visible here.
  static std::shared_ptr<const CudaDevice> with(const Uuid& uuid);

  CudaDevice(Device device, const Uuid& uuid);
  ~CudaDevice();
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  Device device() const { return device_; }
  const Uuid& uuid() const { return uuid_; }
  const std::string& name() const { return name_; }
  Context context() const { return context_; }
  // Whether memory can be handed to other processes by a descriptor.
  bool shares_by_descriptor() const;

 private:
  const Device device_;
  const Uuid uuid_;
  std::string name_;
  Context context_ = nullptr;  // Owned: retained once.
};

// Makes a context this thread's current one, for as long as it lives.
class CurrentContext {
 public:
  explicit CurrentContext(Context context);
  ~CurrentContext();
  CurrentContext(const CurrentContext&) = delete;
  CurrentContext& operator=(const CurrentContext&) = delete;
};

// A stream that does not wait for the default one. Owned.
class OwnStream {
 public:
  // In the current context. Throws BUS_MEMORY.
  explicit OwnStream(std::shared_ptr<const CudaDevice> device);
  ~OwnStream();
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;

  Stream get() const { return stream_; }

 private:
  const std::shared_ptr<const CudaDevice> device_;
  Stream stream_ = nullptr;
};

// "GPU-9c63eb4e-6f73-c743-87b2-2de7c4d6e321", as nvidia-smi writes it.
std::string text_of(const Uuid& uuid);

// "NVIDIA H200, driver 580.159.04, CUDA 13.0": the first device. Throws as first().
std::string describe_first_device();

}  // namespace framebus::cuda
