// A pool's pixels in DMA-BUFs, as a consumer has them mapped: to read.
//
// The mapping is read-only, so that nothing in this process writes by mistake.
// Unlike a memfd, a DMA-BUF has no seals: it is opened for reading and writing
// when it is made, the kernel reopens it for nobody, and its owner must write.
// A consumer that means harm could therefore map its descriptors writable.
// Where that matters, use memory shm, or let only trusted consumers in.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "memfd.h"
#include "nvbuf_surface.h"
#include "pool_mapping.h"
#include "unique_fd.h"

namespace framebus {

class DmabufPoolMapping final : public PoolMapping {
 public:
  // Takes duplicates of the descriptors, one a slot. Throws BUS_MEMORY.
  DmabufPoolMapping(std::span<const UniqueFd> buffers, size_t slot_stride);

  const uint8_t* host(uint32_t slot) const override { return slots_.at(slot).mapping.data(); }
  // On Jetson, of memory that is a surface there; imported when it is first asked for.
  uint64_t device(uint32_t slot) const override;
  void begin_read(uint32_t slot) const override;
  void end_read(uint32_t slot) const override;

 private:
  struct Slot {
    UniqueFd buffer;
    Mapping mapping;
    std::mutex mutex;  // The kernel's begin is over before a second reader goes on.
    uint32_t readers = 0;
    bool asked = false;  // For `surface`, which may be had or not.
    std::unique_ptr<nvbuf::CudaSurface> surface;
  };
  mutable std::vector<Slot> slots_;
};

}  // namespace framebus
