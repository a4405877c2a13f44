#include "dmabuf_pool_mapping.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "dmabuf.h"
#include "error.h"

namespace framebus {

DmabufPoolMapping::DmabufPoolMapping(std::span<const UniqueFd> buffers, size_t slot_stride)
    : slots_(buffers.size()) {
  for (size_t i = 0; i < buffers.size(); ++i) {
    // A DMA-BUF never shrinks: what is large enough now cannot give a SIGBUS later.
    const std::optional<size_t> bytes = dmabuf_bytes(buffers[i].get());
    if (!bytes || *bytes < slot_stride) {
      throw Error("BUS_MEMORY", "memory from the producer: slot " + std::to_string(i) +
                                    (bytes ? " is smaller than it says" : " is no DMA-BUF"));
    }
    slots_[i].buffer.reset(::fcntl(buffers[i].get(), F_DUPFD_CLOEXEC, 0));
    if (!slots_[i].buffer) {
      throw Error("BUS_MEMORY", "memory from the producer: cannot keep the descriptor of slot " +
                                    std::to_string(i) + ": " + std::strerror(errno));
    }
    slots_[i].mapping = map_dmabuf(slots_[i].buffer.get(), slot_stride, CpuAccess::kRead);
  }
}

uint64_t DmabufPoolMapping::device(uint32_t slot) const {
  if (!nvbuf::available()) return 0;
  Slot& wanted = slots_.at(slot);
  const std::lock_guard lock(wanted.mutex);
  if (!std::exchange(wanted.asked, true)) {
    try {
      wanted.surface = nvbuf::CudaSurface::import(wanted.buffer.get(), wanted.mapping.bytes());
    } catch (const Error&) {
      // Of another exporter, or there is no GPU: the CPU can read it.
    }
  }
  return wanted.surface == nullptr ? 0 : wanted.surface->address();
}

void DmabufPoolMapping::begin_read(uint32_t slot) const {
  Slot& read = slots_.at(slot);
  const std::lock_guard lock(read.mutex);
  if (read.readers == 0) begin_cpu_access(read.buffer.get(), CpuAccess::kRead);
  ++read.readers;
}

void DmabufPoolMapping::end_read(uint32_t slot) const {
  Slot& read = slots_.at(slot);
  const std::lock_guard lock(read.mutex);
  if (read.readers == 0 || --read.readers > 0) return;
  try {
    end_cpu_access(read.buffer.get(), CpuAccess::kRead);
  } catch (const Error&) {
    // Nothing was written: there is nothing that the end could lose.
  }
}

}  // namespace framebus
