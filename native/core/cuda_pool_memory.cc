#include "cuda_pool_memory.h"

#include <algorithm>
#include <utility>

#include "bus_layout.h"
#include "cuda_mapping.h"
#include "error.h"

namespace framebus {
namespace {

using cuda::Address;
using cuda::CudaDevice;

// Smaller allocations may share a block with others, and its handle.
constexpr size_t kIpcBlockBytes = size_t{2} << 20;

std::string name_of(const PoolMemoryOptions& options) {
  return "frame pool of stream '" + options.stream_id + "'";
}

// Copies the planes of a frame in host memory to a slot, and waits.
class SlotUpload {
 public:
  explicit SlotUpload(const std::shared_ptr<const CudaDevice>& device) : stream_(device) {}

  void write(const FrameView& from, const PlaneLayout& layout, Address slot,
             const std::string& object) const {
    for (uint32_t plane = 0; plane < plane_count(from.format.pixel_format); ++plane) {
      cuda::Copy2d copy;
      copy.from_type = cuda::Copy2d::kHost;
      copy.from_host = from.data[plane];
      copy.from_pitch = from.stride[plane];
      copy.to_device = slot + layout.offset[plane];
      copy.to_pitch = layout.stride[plane];
      copy.width_bytes = plane_row_bytes(from.format, plane);
      copy.height = plane_rows(from.format, plane);
      cuda::check(cuda::driver().copy_2d(&copy, stream_.get()), object, "cuMemcpy2DAsync");
    }
    cuda::check(cuda::driver().stream_synchronize(stream_.get()), object, "cuStreamSynchronize");
  }

 private:
  const cuda::OwnStream stream_;
};

class CudaPoolMemory final : public PoolMemory {
 public:
  CudaPoolMemory(const PoolMemoryOptions& options, const std::shared_ptr<const CudaDevice>& device)
      : CudaPoolMemory(options, device,
                       cuda::allocation_bytes(*device, options.slots * options.slot_stride,
                                              name_of(options))) {}

  MemoryKind kind() const override { return MemoryKind::kCuda; }
  uint8_t* host(uint32_t) const override { return nullptr; }
  uint64_t device(uint32_t slot) const override {
    return mapping_.address() + slot * options_.slot_stride;
  }
  void write(uint32_t slot, const FrameView& from, const PlaneLayout& layout) override {
    const cuda::CurrentContext current(mapping_.device()->context());
    upload_.write(from, layout, device(slot), name_of(options_));
  }
  void describe(PoolMessage& message) const override {
    message.memory = kind();
    message.pixel_bytes = bytes_;
    message.gpu = mapping_.device()->uuid().bytes;
  }
  std::vector<int> fds() const override { return {fd_.get()}; }

 private:
  CudaPoolMemory(const PoolMemoryOptions& options, const std::shared_ptr<const CudaDevice>& device,
                 size_t bytes)
      : options_(options),
        bytes_(bytes),
        memory_(cuda::PhysicalMemory::create(*device, bytes, name_of(options))),
        mapping_(device, memory_, bytes, cuda::AccessDescription::kReadWrite, name_of(options)),
        fd_(memory_.export_fd(name_of(options))),
        upload_(device) {}

  const PoolMemoryOptions options_;
  const size_t bytes_;
  const cuda::PhysicalMemory memory_;
  const cuda::DeviceMapping mapping_;
  const UniqueFd fd_;
  const SlotUpload upload_;
};

class CudaIpcPoolMemory final : public PoolMemory {
 public:
  CudaIpcPoolMemory(const PoolMemoryOptions& options, std::shared_ptr<const CudaDevice> device)
      : options_(options),
        bytes_(round_up(options.slots * options.slot_stride, kIpcBlockBytes)),
        device_(std::move(device)),
        upload_(device_) {
    const cuda::CurrentContext current(device_->context());
    cuda::check(cuda::driver().memory_alloc(&address_, bytes_), name_of(options_), "cuMemAlloc");
    const cuda::Result got = cuda::driver().ipc_get(&handle_, address_);
    if (got == cuda::kSuccess) return;
    cuda::driver().memory_free(address_);
    cuda::check(got, name_of(options_), "cuIpcGetMemHandle");
  }
  ~CudaIpcPoolMemory() override {
    try {
      const cuda::CurrentContext current(device_->context());
      cuda::driver().memory_free(address_);
    } catch (const Error&) {
      // The context is lost, and the memory with it.
    }
  }
  CudaIpcPoolMemory(const CudaIpcPoolMemory&) = delete;
  CudaIpcPoolMemory& operator=(const CudaIpcPoolMemory&) = delete;

  MemoryKind kind() const override { return MemoryKind::kCudaIpc; }
  uint8_t* host(uint32_t) const override { return nullptr; }
  uint64_t device(uint32_t slot) const override { return address_ + slot * options_.slot_stride; }
  void write(uint32_t slot, const FrameView& from, const PlaneLayout& layout) override {
    const cuda::CurrentContext current(device_->context());
    upload_.write(from, layout, device(slot), name_of(options_));
  }
  void describe(PoolMessage& message) const override {
    message.memory = kind();
    message.pixel_bytes = bytes_;
    message.gpu = device_->uuid().bytes;
    message.pid_namespace = cuda::pid_namespace();
    message.ipc_handle = handle_.bytes;
  }

 private:
  const PoolMemoryOptions options_;
  const size_t bytes_;
  const std::shared_ptr<const CudaDevice> device_;
  const SlotUpload upload_;
  Address address_ = 0;  // Owned.
  cuda::IpcHandle handle_;
};

}  // namespace

std::unique_ptr<PoolMemory> cuda_pool_memory(const PoolMemoryOptions& options) {
  const std::shared_ptr<const CudaDevice> device = CudaDevice::first();
  if (!device->shares_by_descriptor()) {
    throw Error("MEMORY_UNSUPPORTED",
                name_of(options) + ": " + device->name() +
                    " cannot share memory by descriptors here; use memory shm");
  }
  return std::make_unique<CudaPoolMemory>(options, device);
}

std::unique_ptr<PoolMemory> cuda_ipc_pool_memory(const PoolMemoryOptions& options) {
  return std::make_unique<CudaIpcPoolMemory>(options, CudaDevice::first());
}

}  // namespace framebus
