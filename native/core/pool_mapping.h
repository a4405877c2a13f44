// Where the pixels of a pool lie, as a consumer has them mapped: to read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "bus_message.h"
#include "unique_fd.h"

namespace framebus {

// Thread-safe. Unmapped when it is destroyed.
class PoolMapping {
 public:
  virtual ~PoolMapping() = default;
  // A slot's pixels for the CPU, owned by this object; null when they lie in
  // memory that the CPU cannot reach.
  virtual const uint8_t* host(uint32_t slot) const = 0;
  // A slot's pixels for the GPU (a CUdeviceptr), to read only; 0 when the GPU cannot.
  virtual uint64_t device(uint32_t) const { return 0; }
  // Around every reading through host(). Calls nest.
  virtual void begin_read(uint32_t) const {}
  virtual void end_read(uint32_t) const {}
  // Copies the first `bytes` of a slot to host memory and waits for it; for
  // pixels without host(). Throws BUS_MEMORY.
  virtual void download(uint32_t slot, size_t bytes, uint8_t* to) const;
  // The same into memory of its own choice. Throws BUS_MEMORY.
  virtual std::shared_ptr<const uint8_t> copy(uint32_t slot, size_t bytes) const;
};

// `shm`: pixels inside the pool's memfd, already mapped at `base` (borrowed).
std::unique_ptr<PoolMapping> shm_pool_mapping(const uint8_t* base, size_t slot_stride);
// The other kinds, from a message that has passed is_sane() and its descriptors.
// Throws BUS_MEMORY, MEMORY_UNSUPPORTED.
std::unique_ptr<PoolMapping> map_pool(const PoolMessage& message, std::span<const UniqueFd> pixels);

}  // namespace framebus
