#include "cuda_mapping.h"

#include <sys/stat.h>

#include <utility>

#include "bus_layout.h"
#include "error.h"

namespace framebus::cuda {
namespace {

AllocationProperties properties_on(const CudaDevice& device) {
  AllocationProperties properties;
  properties.location.id = device.device();
  return properties;
}

}  // namespace

size_t allocation_bytes(const CudaDevice& device, size_t bytes, const std::string& object) {
  const AllocationProperties properties = properties_on(device);
  size_t granularity = 0;
  check(driver().allocation_granularity(&granularity, &properties, kGranularityMinimum), object,
        "cuMemGetAllocationGranularity");
  return round_up(bytes, granularity);
}

uint64_t pid_namespace() {
  struct stat found {};
  return ::stat("/proc/self/ns/pid", &found) == 0 ? found.st_ino : 0;
}

PhysicalMemory PhysicalMemory::create(const CudaDevice& device, size_t bytes,
                                      const std::string& object) {
  const AllocationProperties properties = properties_on(device);
  Allocation allocation = 0;
  check(driver().allocation_create(&allocation, bytes, &properties, 0), object, "cuMemCreate");
  return PhysicalMemory(allocation);
}

PhysicalMemory PhysicalMemory::import_fd(int fd, const std::string& object) {
  Allocation allocation = 0;
  // The API wants the number itself in the place of a pointer.
  void* const number = reinterpret_cast<void*>(static_cast<uintptr_t>(fd));
  check(driver().allocation_import(&allocation, number, kHandlePosixFd), object,
        "cuMemImportFromShareableHandle");
  return PhysicalMemory(allocation);
}

PhysicalMemory::PhysicalMemory(PhysicalMemory&& other) noexcept
    : allocation_(std::exchange(other.allocation_, 0)) {}

PhysicalMemory::~PhysicalMemory() {
  if (allocation_ != 0) driver().allocation_release(allocation_);
}

UniqueFd PhysicalMemory::export_fd(const std::string& object) const {
  int fd = -1;
  check(driver().allocation_export(&fd, allocation_, kHandlePosixFd, 0), object,
        "cuMemExportToShareableHandle");
  return UniqueFd(fd);
}

Device PhysicalMemory::device(const std::string& object) const {
  AllocationProperties properties;
  check(driver().allocation_properties(&properties, allocation_), object,
        "cuMemGetAllocationPropertiesFromHandle");
  if (properties.type != AllocationProperties::kPinned ||
      properties.location.type != Location::kDevice) {
    throw Error("BUS_MEMORY", object + ": not memory of a GPU");
  }
  return properties.location.id;
}

DeviceMapping::DeviceMapping(std::shared_ptr<const CudaDevice> device, const PhysicalMemory& memory,
                             size_t bytes, int access, const std::string& object)
    : device_(std::move(device)), bytes_(bytes) {
  const Driver& d = driver();
  check(d.address_reserve(&address_, bytes_, 0, 0, 0), object, "cuMemAddressReserve");
  try {
    check(d.map(address_, bytes_, 0, memory.get(), 0), object, "cuMemMap");
    mapped_ = true;
    AccessDescription description;
    description.location.id = device_->device();
    description.flags = access;
    check(d.set_access(address_, bytes_, &description, 1), object, "cuMemSetAccess");
  } catch (...) {
    undo();
    throw;
  }
}

DeviceMapping::~DeviceMapping() { undo(); }

void DeviceMapping::undo() {
  // Nothing can be done about a failure: it means that the context is lost.
  if (mapped_) driver().unmap(address_, bytes_);
  driver().address_free(address_, bytes_);
}

}  // namespace framebus::cuda
