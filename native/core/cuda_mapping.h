// Owners of what the CUDA driver hands out: allocations, address ranges, maps.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "cuda_device.h"
#include "cuda_driver.h"
#include "unique_fd.h"

namespace framebus::cuda {

// A handle on physical memory of a device. Maps keep the memory, too.
class PhysicalMemory {
 public:
  // Throws NO_SPACE, BUS_MEMORY.
  static PhysicalMemory create(const CudaDevice& device, size_t bytes, const std::string& object);
  // `fd` is borrowed. Throws BUS_MEMORY.
  static PhysicalMemory import_fd(int fd, const std::string& object);

  PhysicalMemory(PhysicalMemory&& other) noexcept;
  PhysicalMemory& operator=(PhysicalMemory&&) = delete;
  PhysicalMemory(const PhysicalMemory&) = delete;
  PhysicalMemory& operator=(const PhysicalMemory&) = delete;
  ~PhysicalMemory();

  // Throws BUS_MEMORY.
  UniqueFd export_fd(const std::string& object) const;
  // The device that it lies on. Throws BUS_MEMORY when it is not device memory.
  Device device(const std::string& object) const;
  Allocation get() const { return allocation_; }

 private:
  explicit PhysicalMemory(Allocation allocation) : allocation_(allocation) {}
  Allocation allocation_;
};

// Bytes that an allocation of at least `bytes` has on a device.
size_t allocation_bytes(const CudaDevice& device, size_t bytes, const std::string& object);

// What tells pid namespaces apart, 0 when it cannot be known: a legacy IPC handle
// names a process by its number.
uint64_t pid_namespace();

// Physical memory at an address of this process, to read or to write as well.
class DeviceMapping {
 public:
  // `access`: AccessDescription::kRead or kReadWrite. Throws BUS_MEMORY, for
  // example when `bytes` is not what the memory has.
  DeviceMapping(std::shared_ptr<const CudaDevice> device, const PhysicalMemory& memory,
                size_t bytes, int access, const std::string& object);
  ~DeviceMapping();
  DeviceMapping(const DeviceMapping&) = delete;
  DeviceMapping& operator=(const DeviceMapping&) = delete;

  Address address() const { return address_; }
  const std::shared_ptr<const CudaDevice>& device() const { return device_; }

 private:
  void undo();

  const std::shared_ptr<const CudaDevice> device_;
  const size_t bytes_;
  Address address_ = 0;
  bool mapped_ = false;
};

}  // namespace framebus::cuda
