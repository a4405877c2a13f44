#include "pool_memory.h"

#include <cstring>

#include "cuda_pool_memory.h"
#include "dmabuf_pool_memory.h"
#include "error.h"

namespace framebus {
namespace {

class ShmPoolMemory final : public PoolMemory {
 public:
  ShmPoolMemory(uint8_t* base, size_t slot_stride) : base_(base), slot_stride_(slot_stride) {}
  MemoryKind kind() const override { return MemoryKind::kShm; }
  uint8_t* host(uint32_t slot) const override { return base_ + slot * slot_stride_; }

 private:
  uint8_t* const base_;  // Borrowed from the pool.
  const size_t slot_stride_;
};

}  // namespace

void PoolMemory::write(uint32_t slot, const FrameView& from, const PlaneLayout& layout) {
  begin_write(slot);
  uint8_t* const data = host(slot);
  for (uint32_t plane = 0; plane < plane_count(from.format.pixel_format); ++plane) {
    const uint8_t* row = from.data[plane];
    uint8_t* target = data + layout.offset[plane];
    const size_t bytes = plane_row_bytes(from.format, plane);
    for (uint32_t y = 0; y < plane_rows(from.format, plane); ++y) {
      std::memcpy(target, row, bytes);
      row += from.stride[plane];
      target += layout.stride[plane];
    }
  }
  end_write(slot);
}

std::unique_ptr<PoolMemory> shm_pool_memory(uint8_t* base, size_t slot_stride) {
  return std::make_unique<ShmPoolMemory>(base, slot_stride);
}

std::unique_ptr<PoolMemory> create_pool_memory(const PoolMemoryOptions& options) {
  if (options.kind == MemoryKind::kDmabuf) return DmabufPoolMemory::create(options);
  if (options.kind == MemoryKind::kCuda) return cuda_pool_memory(options);
  if (options.kind == MemoryKind::kCudaIpc) return cuda_ipc_pool_memory(options);
  throw Error("MEMORY_UNSUPPORTED", "frame pool of stream '" + options.stream_id +
                                        "': this memory kind is not built in; use shm");
}

}  // namespace framebus
