// Where the pixels of a pool lie, as the producer has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bus_message.h"
#include "frame_view.h"

namespace framebus {

// One pool's pixels. Everything is freed with it; what consumers have mapped
// lives on until they unmap it.
class PoolMemory {
 public:
  virtual ~PoolMemory() = default;
  virtual MemoryKind kind() const = 0;
  // A slot's pixels for the CPU, owned by this object, 64-byte aligned; null
  // when the CPU cannot reach them.
  virtual uint8_t* host(uint32_t slot) const = 0;
  // A slot's pixels for the GPU (a CUdeviceptr); 0 when the GPU cannot.
  virtual uint64_t device(uint32_t) const { return 0; }
  // Around every writing through host().
  virtual void begin_write(uint32_t) {}
  virtual void end_write(uint32_t) {}
  // Copies a frame in host memory into a slot, and waits until it is there.
  // Throws BUS_MEMORY.
  virtual void write(uint32_t slot, const FrameView& from, const PlaneLayout& layout);
  // What a consumer needs to map it: fields of the message, and descriptors
  // (borrowed), as many as pixel_fds() says.
  virtual void describe(PoolMessage& message) const { message.memory = kind(); }
  virtual std::vector<int> fds() const { return {}; }
};

struct PoolMemoryOptions {
  MemoryKind kind = MemoryKind::kShm;
  std::string stream_id;  // For names and messages.
  uint32_t slots = 0;
  size_t slot_stride = 0;
};

// `shm`: pixels inside the pool's own memfd, already mapped at `base` (borrowed).
std::unique_ptr<PoolMemory> shm_pool_memory(uint8_t* base, size_t slot_stride);
// The other kinds. Throws NO_SPACE, BUS_MEMORY, MEMORY_UNSUPPORTED.
std::unique_ptr<PoolMemory> create_pool_memory(const PoolMemoryOptions& options);

}  // namespace framebus
