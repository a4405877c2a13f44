#include "dmabuf.h"

#include <linux/dma-buf.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "error.h"

namespace framebus {
namespace {

void sync(int fd, CpuAccess access, uint64_t phase) {
  dma_buf_sync request{};
  request.flags = phase | (access == CpuAccess::kWrite ? DMA_BUF_SYNC_WRITE : DMA_BUF_SYNC_READ);
  int result = 0;
  do {
    result = ::ioctl(fd, DMA_BUF_IOCTL_SYNC, &request);
  } while (result != 0 && (errno == EINTR || errno == EAGAIN));
  if (result == 0) return;
  throw Error("BUS_MEMORY", std::string("DMA-BUF: cannot ") +
                                (phase == DMA_BUF_SYNC_START ? "begin" : "end") +
                                " the CPU's access: " + std::strerror(errno));
}

}  // namespace

void begin_cpu_access(int fd, CpuAccess access) { sync(fd, access, DMA_BUF_SYNC_START); }
void end_cpu_access(int fd, CpuAccess access) { sync(fd, access, DMA_BUF_SYNC_END); }

std::optional<size_t> dmabuf_bytes(int fd) {
  // Not by trying an ioctl: on another kind of file it could mean anything.
  struct statfs system {};
  if (::fstatfs(fd, &system) != 0 || system.f_type != DMA_BUF_MAGIC) return std::nullopt;
  const off_t end = ::lseek(fd, 0, SEEK_END);
  if (end < 0) return std::nullopt;
  return static_cast<size_t>(end);
}

void name_dmabuf(int fd, const std::string& name) {
  const std::string fitting = name.substr(0, DMA_BUF_NAME_LEN - 1);
  static_cast<void>(::ioctl(fd, DMA_BUF_SET_NAME, fitting.c_str()));
}

Mapping map_dmabuf(int fd, size_t bytes, CpuAccess access) {
  const int protection = access == CpuAccess::kWrite ? PROT_READ | PROT_WRITE : PROT_READ;
  void* const data = ::mmap(nullptr, bytes, protection, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (data == MAP_FAILED) {
    throw Error("BUS_MEMORY", "DMA-BUF: cannot map " + std::to_string(bytes) +
                                  " bytes for the CPU: " + std::strerror(errno));
  }
  return {static_cast<uint8_t*>(data), bytes};
}

}  // namespace framebus
