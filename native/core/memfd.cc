#include "memfd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "error.h"
#include "memory_room.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

namespace framebus {
namespace {

std::string reason(int error) { return std::strerror(error); }

UniqueFd open_memfd(const std::string& name) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int fd = ::memfd_create(name.c_str(), kFlags | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create(name.c_str(), kFlags);  // Before Linux 6.3.
  if (fd < 0) throw Error("BUS_MEMORY", "memory " + name + ": memfd_create: " + reason(errno));
  return UniqueFd(fd);
}

void allocate(int fd, const std::string& name, size_t bytes) {
  constexpr size_t kWorthALook = 1 << 20;
  if (bytes >= kWorthALook) require_memory("memory " + name, bytes);
  int result = 0;
  do {
    result = ::fallocate(fd, 0, 0, static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return;
  const bool full = errno == ENOSPC || errno == ENOMEM;
  throw Error(full ? "NO_SPACE" : "BUS_MEMORY", "memory " + name + ": cannot allocate " +
                                                    std::to_string(bytes >> 20) +
                                                    " MiB of shared memory: " + reason(errno));
}

Mapping map(int fd, size_t bytes, int protection) {
  // Populated, so that the first frame does not pay for the page faults.
  void* const data = ::mmap(nullptr, bytes, protection, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (data == MAP_FAILED) {
    throw Error("BUS_MEMORY",
                "memory: cannot map " + std::to_string(bytes) + " bytes: " + reason(errno));
  }
  return {static_cast<uint8_t*>(data), bytes};
}

}  // namespace

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

Memfd create_memfd(const std::string& name, size_t bytes, Writers writers) {
  Memfd memory;
  memory.fd = open_memfd(name);
  allocate(memory.fd.get(), name, bytes);
  memory.mapping = map(memory.fd.get(), bytes, PROT_READ | PROT_WRITE);
  int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  if (writers == Writers::kCreatorOnly) seals |= F_SEAL_FUTURE_WRITE;
  if (::fcntl(memory.fd.get(), F_ADD_SEALS, seals) != 0) {
    throw Error("BUS_MEMORY", "memory " + name + ": cannot seal: " + reason(errno) +
                                  "; the bus needs Linux 5.1 or newer");
  }
  return memory;
}

Mapping map_memfd(int fd, size_t bytes, Writers writers) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  int needed = F_SEAL_SHRINK | F_SEAL_GROW;
  if (writers == Writers::kCreatorOnly) needed |= F_SEAL_FUTURE_WRITE;
  if (seals < 0 || (seals & needed) != needed) {
    throw Error("BUS_MEMORY", "memory from the producer is not sealed as it must be");
  }
  struct stat status {};
  if (::fstat(fd, &status) != 0 || status.st_size < 0 ||
      static_cast<size_t>(status.st_size) < bytes) {
    throw Error("BUS_MEMORY", "memory from the producer is smaller than it says");
  }
  // Holes would be filled at our first access: with a signal, when there is no memory left.
  if (static_cast<size_t>(status.st_blocks) * 512 < bytes) {
    throw Error("BUS_MEMORY", "memory from the producer is not allocated");
  }
  return map(fd, bytes, writers == Writers::kCreatorOnly ? PROT_READ : PROT_READ | PROT_WRITE);
}

}  // namespace framebus
