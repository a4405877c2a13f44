// Frames of noise in GPU memory, and memory for tensors there.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "core/cuda_device.h"
#include "core/pool_memory.h"
#include "preprocess_variants.h"

namespace framebus::test {

// A pool's slots on the GPU with frames of noise, and the same frames in host memory.
class NoisePool {
 public:
  NoisePool(uint32_t width, uint32_t height, PixelFormat pixel_format, uint32_t slots,
            std::mt19937& random) {
    format_.width = width;
    format_.height = height;
    format_.pixel_format = pixel_format;
    layout_ = tight_layout(format_);
    const size_t stride = (layout_.slot_bytes + 4095) / 4096 * 4096;
    memory_ = create_pool_memory(
        {.kind = MemoryKind::kCuda, .stream_id = "noise", .slots = slots, .slot_stride = stride});
    for (uint32_t slot = 0; slot < slots; ++slot) {
      bytes_.emplace_back(layout_.slot_bytes);
      for (uint8_t& byte : bytes_.back()) byte = static_cast<uint8_t>(random());
      memory_->write(slot, host(slot), layout_);
    }
  }

  FrameView host(uint32_t slot, unsigned bits = 0) const { return view(bytes_[slot].data(), bits); }
  FrameView device(uint32_t slot, unsigned bits = 0) const {
    return view(reinterpret_cast<const uint8_t*>(memory_->device(slot)), bits);
  }

 private:
  FrameView view(const uint8_t* base, unsigned bits) const {
    FrameView view = view_of(format_, layout_, base);
    variant_colors(bits, view.format);
    return view;
  }

  FrameFormat format_;
  PlaneLayout layout_;
  std::unique_ptr<PoolMemory> memory_;
  std::vector<std::vector<uint8_t>> bytes_;
};

// Device memory of a test's own.
class DeviceFloats {
 public:
  DeviceFloats(const cuda::CudaDevice& device, size_t count) : device_(device), count_(count) {
    const cuda::CurrentContext current(device_.context());
    cuda::check(cuda::driver().memory_alloc(&address_, bytes()), "test", "cuMemAlloc");
  }
  ~DeviceFloats() {
    const cuda::CurrentContext current(device_.context());
    cuda::driver().memory_free(address_);
  }
  DeviceFloats(const DeviceFloats&) = delete;
  DeviceFloats& operator=(const DeviceFloats&) = delete;

  cuda::Address address() const { return address_; }
  std::vector<float> read(cuda::Stream stream) const {
    const cuda::CurrentContext current(device_.context());
    std::vector<float> all(count_);
    cuda::check(cuda::driver().copy_to_host(all.data(), address_, bytes(), stream), "test", "copy");
    cuda::check(cuda::driver().stream_synchronize(stream), "test", "wait");
    return all;
  }

 private:
  size_t bytes() const { return count_ * sizeof(float); }
  const cuda::CudaDevice& device_;
  const size_t count_;
  cuda::Address address_ = 0;
};

}  // namespace framebus::test
