#include "dmabuf_exporter.h"

#include <fcntl.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "error.h"
#include "nvbuf_surface.h"

namespace framebus {
namespace {

constexpr const char* kHeapFolder = "/dev/dma_heap";
constexpr const char* kUdmabufDevice = "/dev/udmabuf";

[[noreturn]] void refuse(const std::string& device, const std::string& action, int error) {
  const bool full = error == ENOMEM || error == ENOSPC;
  std::string why = device + ": cannot " + action + ": " + std::strerror(error);
  if (error == EMFILE || error == ENFILE) {
    why += "; each slot takes a descriptor: raise the limit of open files, or lower slots";
  }
  throw Error(full ? "NO_SPACE" : "BUS_MEMORY", why);
}

std::string size_text(size_t bytes) { return std::to_string(bytes >> 10) + " KiB"; }

template <class Request>
int retried_ioctl(int fd, unsigned long code, Request& request) {
  int result = 0;
  do {
    result = ::ioctl(fd, code, &request);
  } while (result < 0 && errno == EINTR);
  return result;
}

// Jetson's video memory, which its GPU reads, too.
class NvmmSurfaces final : public DmabufExporter {
 public:
  const std::string& name() const override { return name_; }
  std::vector<UniqueFd> allocate(const std::string&, uint32_t count, size_t bytes) override {
    return nvbuf::create_surfaces(count, bytes);
  }

 private:
  const std::string name_ = "NVMM";
};

// Memory of one of the kernel's DMA heaps.
class DmaHeap final : public DmabufExporter {
 public:
  DmaHeap(std::string device, UniqueFd fd) : device_(std::move(device)), fd_(std::move(fd)) {}
  const std::string& name() const override { return device_; }
  std::vector<UniqueFd> allocate(const std::string&, uint32_t count, size_t bytes) override {
    std::vector<UniqueFd> made;
    for (uint32_t i = 0; i < count; ++i) {
      dma_heap_allocation_data request{};
      request.len = bytes;
      request.fd_flags = O_RDWR | O_CLOEXEC;
      if (retried_ioctl(fd_.get(), DMA_HEAP_IOCTL_ALLOC, request) != 0) {
        refuse(device_, "allocate " + size_text(bytes), errno);
      }
      made.emplace_back(static_cast<int>(request.fd));
    }
    return made;
  }

 private:
  const std::string device_;
  const UniqueFd fd_;
};

// Pages of a memfd, shown to devices.
class Udmabuf final : public DmabufExporter {
 public:
  explicit Udmabuf(UniqueFd fd) : device_(kUdmabufDevice), fd_(std::move(fd)) {}
  const std::string& name() const override { return device_; }
  std::vector<UniqueFd> allocate(const std::string& purpose, uint32_t count,
                                 size_t bytes) override {
    // Needed only until the DMA-BUFs hold its pages.
    const UniqueFd memory(::memfd_create(purpose.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!memory) refuse("memory " + purpose, "make a memfd", errno);
    if (::fallocate(memory.get(), 0, 0, static_cast<off_t>(count * bytes)) != 0) {
      refuse("memory " + purpose, "allocate " + size_text(count * bytes), errno);
    }
    if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0) {
      refuse("memory " + purpose, "seal", errno);
    }
    std::vector<UniqueFd> made;
    for (uint32_t i = 0; i < count; ++i) {
      udmabuf_create request{};
      request.memfd = static_cast<uint32_t>(memory.get());
      request.flags = UDMABUF_FLAGS_CLOEXEC;
      request.offset = i * bytes;
      request.size = bytes;
      const int fd = retried_ioctl(fd_.get(), UDMABUF_CREATE, request);
      if (fd < 0) {
        const int error = errno;
        const std::string limit = error == EINVAL ? " (its module's size_limit_mb is less?)" : "";
        refuse(device_, "make a DMA-BUF of " + size_text(bytes) + limit, error);
      }
      made.emplace_back(fd);
    }
    return made;
  }

 private:
  const std::string device_;
  const UniqueFd fd_;
};

// Names in a folder, `first` before the others.
std::vector<std::string> entries_of(const char* folder, const std::string& first) {
  std::vector<std::string> names;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    return std::pair(a != first, a) < std::pair(b != first, b);
  });
  return names;
}

UniqueFd open_device(const std::string& device, std::vector<std::string>& missing) {
  UniqueFd fd(::open(device.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) {
    missing.push_back(errno == ENOENT ? "no " + device : device + ": " + std::strerror(errno));
  }
  return fd;
}

}  // namespace

DmabufExporters find_dmabuf_exporters() {
  DmabufExporters exporters;
  if (nvbuf::available()) exporters.found.push_back(std::make_unique<NvmmSurfaces>());
  const std::vector<std::string> heaps = entries_of(kHeapFolder, "system");
  if (heaps.empty()) exporters.missing.push_back(std::string("no ") + kHeapFolder);
  for (const std::string& heap : heaps) {
    const std::string device = std::string(kHeapFolder) + "/" + heap;
    if (UniqueFd fd = open_device(device, exporters.missing)) {
      exporters.found.push_back(std::make_unique<DmaHeap>(device, std::move(fd)));
    }
  }
  if (UniqueFd fd = open_device(kUdmabufDevice, exporters.missing)) {
    exporters.found.push_back(std::make_unique<Udmabuf>(std::move(fd)));
  }
  return exporters;
}

}  // namespace framebus
