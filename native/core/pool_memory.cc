#include "pool_memory.h"

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

std::unique_ptr<PoolMemory> shm_pool_memory(uint8_t* base, size_t slot_stride) {
  return std::make_unique<ShmPoolMemory>(base, slot_stride);
}

std::unique_ptr<PoolMemory> create_pool_memory(const PoolMemoryOptions& options) {
  throw Error("MEMORY_UNSUPPORTED", "frame pool of stream '" + options.stream_id +
                                        "': this memory kind is not built in; use shm");
}

}  // namespace framebus
