#include "cuda_pool_mapping.h"

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "cuda_mapping.h"
#include "cuda_staging.h"
#include "error.h"

namespace framebus {
namespace {

using cuda::Address;
using cuda::CudaDevice;

constexpr const char* kObject = "CUDA memory from the producer";
constexpr const char* kOtherProcessOnly =
    "; a legacy IPC handle works only in another process of the producer's pid namespace: let the "
    "producer use memory cuda";
// No pool of ours comes near; a driver is not asked to reserve nonsense.
constexpr uint64_t kMaxPixelBytes = uint64_t{1} << 40;

[[noreturn]] void refuse(const std::string& why) {
  throw Error("BUS_MEMORY", std::string(kObject) + ": " + why);
}

void check_size(const PoolMessage& message) {
  const uint64_t needed = message.slots * message.slot_stride;
  if (message.pixel_bytes < needed || message.pixel_bytes > kMaxPixelBytes) {
    refuse(std::to_string(message.pixel_bytes) + " bytes for " + std::to_string(needed));
  }
}

// What both kinds do alike once the memory has an address here.
class CudaPoolMapping : public PoolMapping {
 public:
  CudaPoolMapping(const PoolMessage& message, std::shared_ptr<const CudaDevice> device)
      : slots_(message.slots),
        slot_stride_(message.slot_stride),
        device_(std::move(device)),
        stream_(device_),
        staging_(cuda::Staging::create(device_, message.slot_stride)) {}

  const uint8_t* host(uint32_t) const override { return nullptr; }
  uint64_t device(uint32_t slot) const override { return address() + slot * slot_stride_; }
  void download(uint32_t slot, size_t bytes, uint8_t* to) const override {
    if (slot >= slots_ || bytes > slot_stride_) refuse("more is asked for than a slot");
    const cuda::CurrentContext current(device_->context());
    cuda::check(cuda::driver().copy_to_host(to, device(slot), bytes, stream_.get()), kObject,
                "cuMemcpyDtoHAsync");
    cuda::check(cuda::driver().stream_synchronize(stream_.get()), kObject, "cuStreamSynchronize");
  }
  std::shared_ptr<const uint8_t> copy(uint32_t slot, size_t bytes) const override {
    std::shared_ptr<uint8_t> memory = staging_->take();
    download(slot, bytes, memory.get());
    return memory;
  }

 protected:
  virtual Address address() const = 0;

 private:
  const uint32_t slots_;
  const uint64_t slot_stride_;
  const std::shared_ptr<const CudaDevice> device_;
  const cuda::OwnStream stream_;
  const std::shared_ptr<cuda::Staging> staging_;
};

class ImportedPool final : public CudaPoolMapping {
 public:
  ImportedPool(const PoolMessage& message, const std::shared_ptr<const CudaDevice>& device,
               const cuda::PhysicalMemory& memory)
      : CudaPoolMapping(message, device),
        mapping_(device, memory, message.pixel_bytes, cuda::AccessDescription::kRead, kObject) {}

 protected:
  Address address() const override { return mapping_.address(); }

 private:
  const cuda::DeviceMapping mapping_;
};

// Legacy IPC: a handle may be open only once in a process, and the driver wants
// opening and closing one after the other.
class OpenHandles {
 public:
  static OpenHandles& of_process() {
    static OpenHandles handles;
    return handles;
  }

  Address open(const cuda::IpcHandle& handle) {
    const std::lock_guard lock(mutex_);
    Open& open = open_[handle.bytes];
    if (open.users == 0) {
      const cuda::Result result =
          cuda::driver().ipc_open(&open.address, handle, cuda::kIpcLazyPeerAccess);
      if (result != cuda::kSuccess) {
        open_.erase(handle.bytes);
        refuse("cuIpcOpenMemHandle: " + cuda::text_of(result) + kOtherProcessOnly);
      }
    }
    ++open.users;
    return open.address;
  }

  void close(const cuda::IpcHandle& handle) {
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(handle.bytes);
    if (--found->second.users > 0) return;
    cuda::driver().ipc_close(found->second.address);
    open_.erase(found);
  }

 private:
  struct Open {
    Address address = 0;
    uint32_t users = 0;
  };
  std::mutex mutex_;
  std::map<std::array<uint8_t, kIpcHandleBytes>, Open> open_;
};

// One use of an open handle.
class OpenHandle {
 public:
  OpenHandle(std::shared_ptr<const CudaDevice> device, const cuda::IpcHandle& handle)
      : device_(std::move(device)), handle_(handle) {
    const cuda::CurrentContext current(device_->context());
    address_ = OpenHandles::of_process().open(handle_);
  }
  ~OpenHandle() {
    try {
      const cuda::CurrentContext current(device_->context());
      OpenHandles::of_process().close(handle_);
    } catch (const Error&) {
      // The context is lost, and the map with it.
    }
  }
  OpenHandle(const OpenHandle&) = delete;
  OpenHandle& operator=(const OpenHandle&) = delete;

  Address address() const { return address_; }
  // How much memory there is from the address on.
  size_t bytes() const {
    const cuda::CurrentContext current(device_->context());
    Address base = 0;
    size_t size = 0;
    cuda::check(cuda::driver().address_range(&base, &size, address_), kObject,
                "cuMemGetAddressRange");
    return size - static_cast<size_t>(address_ - base);
  }

 private:
  const std::shared_ptr<const CudaDevice> device_;
  const cuda::IpcHandle handle_;
  Address address_ = 0;
};

class OpenedPool final : public CudaPoolMapping {
 public:
  OpenedPool(const PoolMessage& message, const std::shared_ptr<const CudaDevice>& device)
      : CudaPoolMapping(message, device),
        handle_(device, cuda::IpcHandle{.bytes = message.ipc_handle}) {
    const size_t bytes = handle_.bytes();
    const uint64_t needed = message.slots * message.slot_stride;
    if (bytes < needed) {
      refuse("has " + std::to_string(bytes) + " bytes, not " + std::to_string(needed));
    }
  }

 protected:
  Address address() const override { return handle_.address(); }

 private:
  const OpenHandle handle_;
};

std::shared_ptr<const CudaDevice> device_of(const PoolMessage& message) {
  return CudaDevice::with(cuda::Uuid{.bytes = message.gpu});
}

}  // namespace

std::unique_ptr<PoolMapping> cuda_pool_mapping(const PoolMessage& message, int fd) {
  check_size(message);
  const std::shared_ptr<const CudaDevice> device = device_of(message);
  const cuda::CurrentContext current(device->context());
  // The map keeps the memory; the handle is only needed to make it.
  const cuda::PhysicalMemory memory = cuda::PhysicalMemory::import_fd(fd, kObject);
  if (memory.device(kObject) != device->device()) refuse("it lies on another GPU than it says");
  return std::make_unique<ImportedPool>(message, device, memory);
}

std::unique_ptr<PoolMapping> cuda_ipc_pool_mapping(const PoolMessage& message) {
  check_size(message);
  // The driver opens some of these and refuses others: it goes by process numbers.
  const uint64_t here = cuda::pid_namespace();
  if (message.pid_namespace != 0 && here != 0 && message.pid_namespace != here)
    refuse(std::string("its producer runs in another pid namespace") + kOtherProcessOnly);
  return std::make_unique<OpenedPool>(message, device_of(message));
}

}  // namespace framebus
