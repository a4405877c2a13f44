// A pool's pixels in DMA-BUFs, one a slot.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "memfd.h"
#include "pool_memory.h"
#include "unique_fd.h"

namespace framebus {

class DmabufPoolMemory final : public PoolMemory {
 public:
  // From whatever this machine has; see dmabuf_exporter.h. Throws NO_SPACE,
  // BUS_MEMORY, MEMORY_UNSUPPORTED.
  static std::unique_ptr<DmabufPoolMemory> create(const PoolMemoryOptions& options);
  DmabufPoolMemory(std::string exporter, std::vector<UniqueFd> buffers, size_t slot_stride);

  // The device that the memory is from, for people.
  const std::string& exporter() const { return exporter_; }

  MemoryKind kind() const override { return MemoryKind::kDmabuf; }
  uint8_t* host(uint32_t slot) const override { return mappings_.at(slot).data(); }
  void begin_write(uint32_t slot) override;
  void end_write(uint32_t slot) override;
  std::vector<int> fds() const override;

 private:
  const std::string exporter_;
  const std::vector<UniqueFd> buffers_;
  std::vector<Mapping> mappings_;
};

}  // namespace framebus
