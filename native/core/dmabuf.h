// What the kernel offers for every DMA-BUF, whoever exported it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "memfd.h"

namespace framebus {

enum class CpuAccess { kRead, kWrite };

// DMA_BUF_IOCTL_SYNC, start and end: the CPU sees what devices wrote, and the
// other way round. It makes caches agree; it keeps nobody out. Throw BUS_MEMORY.
void begin_cpu_access(int fd, CpuAccess access);
void end_cpu_access(int fd, CpuAccess access);

// Size of a DMA-BUF, which never changes; nothing when the descriptor is of
// anything else.
std::optional<size_t> dmabuf_bytes(int fd);

// Shown in /proc/PID/maps and in debugfs; best effort, cut to fit.
void name_dmabuf(int fd, const std::string& name);

// Maps its first bytes. Throws BUS_MEMORY.
Mapping map_dmabuf(int fd, size_t bytes, CpuAccess access);

}  // namespace framebus
