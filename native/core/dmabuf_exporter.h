// Where this machine's DMA-BUFs come from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "unique_fd.h"

namespace framebus {

class DmabufExporter {
 public:
  virtual ~DmabufExporter() = default;
  // The device, for people.
  virtual const std::string& name() const = 0;
  // DMA-BUFs of `bytes` each, a multiple of the page size; zeroed, to be read
  // and written. Throws NO_SPACE, BUS_MEMORY.
  virtual std::vector<UniqueFd> allocate(const std::string& purpose, uint32_t count,
                                         size_t bytes) = 0;
};

// Those that can be opened, best first: NVMM surfaces (Jetson), DMA heaps, udmabuf.
struct DmabufExporters {
  std::vector<std::unique_ptr<DmabufExporter>> found;
  std::vector<std::string> missing;  // Why not the others, for people.
};
DmabufExporters find_dmabuf_exporters();

}  // namespace framebus
