#include "pool_mapping.h"

#include <vector>

#include "cuda_pool_mapping.h"
#include "dmabuf_pool_mapping.h"
#include "error.h"

namespace framebus {
namespace {

class ShmPoolMapping final : public PoolMapping {
 public:
  ShmPoolMapping(const uint8_t* base, size_t slot_stride)
      : base_(base), slot_stride_(slot_stride) {}
  const uint8_t* host(uint32_t slot) const override { return base_ + slot * slot_stride_; }

 private:
  const uint8_t* const base_;  // Borrowed from the view.
  const size_t slot_stride_;
};

}  // namespace

void PoolMapping::download(uint32_t, size_t, uint8_t*) const {
  throw Error("BUS_MEMORY", "memory from the producer: nothing to download");
}

std::shared_ptr<const uint8_t> PoolMapping::copy(uint32_t slot, size_t bytes) const {
  const auto memory = std::make_shared<std::vector<uint8_t>>(bytes);
  download(slot, bytes, memory->data());
  return {memory, memory->data()};
}

std::unique_ptr<PoolMapping> shm_pool_mapping(const uint8_t* base, size_t slot_stride) {
  return std::make_unique<ShmPoolMapping>(base, slot_stride);
}

std::unique_ptr<PoolMapping> map_pool(const PoolMessage& message,
                                      std::span<const UniqueFd> pixels) {
  if (message.memory == MemoryKind::kDmabuf) {
    return std::make_unique<DmabufPoolMapping>(pixels, message.slot_stride);
  }
  if (message.memory == MemoryKind::kCuda) return cuda_pool_mapping(message, pixels[0].get());
  if (message.memory == MemoryKind::kCudaIpc) return cuda_ipc_pool_mapping(message);
  throw Error("MEMORY_UNSUPPORTED",
              "memory from the producer is of a kind that is not built in here");
}

}  // namespace framebus
