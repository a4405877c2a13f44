// Jetson's surfaces: memory that its video hardware, CPU and GPU share, each
// with a DMA-BUF. libnvbufsurface is loaded at run time.
//
// Not run yet: see "What has not been run" in ARCHITECTURE.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "unique_fd.h"

namespace framebus::nvbuf {

// Whether this is a Jetson whose library can be loaded.
bool available();

// DMA-BUFs of surfaces of at least `bytes` each, without tiling: for CPU and
// GPU a row of bytes, whatever picture lies in it. Throws BUS_MEMORY.
std::vector<UniqueFd> create_surfaces(uint32_t count, size_t bytes);

// A DMA-BUF of create_surfaces(), of this or another process, for this
// process's GPU to read. Unmapped when it is destroyed.
class CudaSurface {
 public:
  // `fd` is borrowed. Throws BUS_MEMORY, MEMORY_UNSUPPORTED.
  static std::unique_ptr<CudaSurface> import(int fd, size_t bytes);
  virtual ~CudaSurface() = default;
  virtual uint64_t address() const = 0;  // A CUdeviceptr.
};

}  // namespace framebus::nvbuf
