// A CUDA driver for machines without a GPU: the calls that the bus makes, as a
// libcuda.so.1 for tests. Device memory is memfds, so that descriptors of it
// really pass between processes. It checks its arguments as strictly as the
// documentation allows, and knows what is still alive. Of kernels it runs those that
// it has been built with, on the CPU.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/cuda_driver.h"
#include "fake_kernels.h"

namespace {

using namespace framebus::cuda;

constexpr Result kInvalidValue = 1;
constexpr Result kNotInitialized = 3;
constexpr Result kInvalidDevice = 101;
constexpr Result kInvalidContext = 201;
constexpr Result kAlreadyMapped = 208;
constexpr Result kInvalidHandle = 400;
constexpr Result kNotSupported = 801;
constexpr size_t kGranularity = size_t{2} << 20;
constexpr size_t kTotalBytes = size_t{1} << 30;
constexpr uint64_t kIpcMagic = 0x4350494b4146;

struct Physical {
  int fd = -1;
  size_t bytes = 0;
  uint32_t handles = 0;
  bool imported = false;
};
struct Range {
  size_t bytes = 0;
  size_t mapped = 0;  // Bytes, or none.
  int access = 0;
  bool plain = false;   // By cuMemAlloc.
  bool opened = false;  // By cuIpcOpenMemHandle.
  int fd = -1;          // Of plain memory; owned.
};
struct IpcContent {
  uint64_t magic;
  uint64_t pid_namespace;
  int32_t pid;
  int32_t fd;
  uint64_t bytes;
};

struct Fake {
  std::mutex mutex;
  bool ready = false;
  uint32_t retained = 0;
  Allocation last = 0;
  std::map<Allocation, Physical> physical;
  std::map<Address, Range> ranges;
  std::set<Stream> streams;
  std::set<std::string> open_handles;
  std::set<void*> pinned;
  FakeModules modules;
  std::map<Address, Device> elsewhere;  // Ranges that are said to lie on another GPU.
  size_t used = 0;
  // Work given to streams, done in order by one thread.
  std::condition_variable changed;
  std::deque<std::pair<void (*)(void*), void*>> host_work;
  uint64_t given = 0;
  uint64_t done = 0;
  bool worker = false;
};

Fake& fake() {
  static Fake& one = *std::make_unique<Fake>().release();
  return one;
}

thread_local std::vector<Context> current;

Context the_context() { return reinterpret_cast<Context>(&fake()); }
Address address_of(void* memory) { return reinterpret_cast<Address>(memory); }
void* pointer_of(Address address) { return reinterpret_cast<void*>(address); }

bool setting(const char* name) {
  const char* const value = std::getenv("FRAMEBUS_FAKE_CUDA");
  return value != nullptr && std::string(value).find(name) != std::string::npos;
}

uint64_t pid_namespace() {
  struct stat found {};
  return ::stat("/proc/self/ns/pid", &found) == 0 ? found.st_ino : 0;
}

int make_memory(size_t bytes) {
  const int fd = ::memfd_create("fake-cuda-memory", MFD_CLOEXEC);
  if (fd >= 0 && ::ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    ::close(fd);
    return -1;
  }
  return fd;
}

bool is_our_memory(int fd) {
  std::string name(64, '\0');
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = ::readlink(link.c_str(), name.data(), name.size());
  return length > 0 && name.starts_with("/memfd:fake-cuda-memory");
}

// The range that holds all of it, if it may be used so.
bool reaches(Address address, size_t bytes, int access) {
  auto found = fake().ranges.upper_bound(address);
  if (found == fake().ranges.begin()) return false;
  --found;
  const Range& range = found->second;
  const Address offset = address - found->first;
  if (offset > range.mapped || bytes > range.mapped - offset) return false;
  return (range.access & access) == access;
}

Result map_plain(Address* address, int fd, size_t bytes, bool opened) {
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return kErrorOutOfMemory;
  *address = address_of(memory);
  fake().ranges[*address] = {bytes, bytes, AccessDescription::kReadWrite, !opened, opened, fd};
  return kSuccess;
}

Result unmap_plain(Address address, bool opened) {
  const auto found = fake().ranges.find(address);
  if (found == fake().ranges.end()) return kInvalidValue;
  const Range range = found->second;
  if (opened ? !range.opened : !range.plain) return kInvalidValue;
  ::munmap(pointer_of(address), range.bytes);
  ::close(range.fd);
  fake().ranges.erase(found);
  if (!opened) fake().used -= range.bytes;
  return kSuccess;
}

void work() {
  std::unique_lock lock(fake().mutex);
  for (;;) {
    fake().changed.wait(lock, [] { return !fake().host_work.empty(); });
    const auto [function, data] = fake().host_work.front();
    fake().host_work.pop_front();
    lock.unlock();
    function(data);
    lock.lock();
    ++fake().done;
    fake().changed.notify_all();
  }
}

Result wait_for_work(std::unique_lock<std::mutex>& lock) {
  const uint64_t until = fake().given;
  fake().changed.wait(lock, [until] { return fake().done >= until; });
  return kSuccess;
}

bool has_context() { return !current.empty(); }
bool is_stream(Stream stream) { return stream == nullptr || fake().streams.contains(stream); }

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

// What has not been given back: nothing when it is all zeros.
void fake_cuda_live(unsigned* handles, unsigned* ranges, unsigned* streams, unsigned* contexts);
void fake_cuda_live(unsigned* handles, unsigned* ranges, unsigned* streams, unsigned* contexts) {
  const std::lock_guard lock(fake().mutex);
  *handles = static_cast<unsigned>(fake().physical.size()) + fake().modules.size();
  *ranges = static_cast<unsigned>(fake().ranges.size() + fake().pinned.size());
  *streams = static_cast<unsigned>(fake().streams.size());
  *contexts = fake().retained;
}

// From here on the range that begins at `address` lies on that GPU.
void fake_cuda_move(Address address, Device device);
void fake_cuda_move(Address address, Device device) {
  const std::lock_guard lock(fake().mutex);
  fake().elsewhere[address] = device;
}

#define CALL(name, ...)     \
  Result name(__VA_ARGS__); \
  Result name(__VA_ARGS__)

CALL(cuInit, unsigned flags) {
  if (flags != 0) return kInvalidValue;
  if (setting("no-device")) return kErrorNoDevice;
  fake().ready = true;
  return kSuccess;
}
CALL(cuDriverGetVersion, int* version) {
  *version = 13000;
  return kSuccess;
}
CALL(cuGetErrorString, Result result, const char** text) {
  static const std::map<Result, const char*> texts{
      {0, "no error"},
      {kInvalidValue, "invalid argument"},
      {kErrorOutOfMemory, "out of memory"},
      {kNotInitialized, "initialization error"},
      {kErrorNoDevice, "no CUDA-capable device is detected"},
      {kInvalidContext, "invalid device context"},
      {kAlreadyMapped, "resource already mapped"},
      {kInvalidHandle, "invalid resource handle"},
      {kNotSupported, "operation not supported"}};
  const auto found = texts.find(result);
  if (found == texts.end()) return kInvalidValue;
  *text = found->second;
  return kSuccess;
}
CALL(cuDeviceGetCount, int* count) {
  if (!fake().ready) return kNotInitialized;
  *count = 1;
  return kSuccess;
}
CALL(cuDeviceGet, Device* device, int ordinal) {
  *device = ordinal;
  return ordinal == 0 ? kSuccess : kInvalidDevice;
}
CALL(cuDeviceGetName, char* name, int bytes, Device device) {
  std::snprintf(name, static_cast<size_t>(bytes), "Fake GPU");
  return device == 0 ? kSuccess : kInvalidDevice;
}
CALL(cuDeviceGetUuid_v2, Uuid* uuid, Device device) {
  uuid->bytes.fill(setting("other-gpu") ? 0xee : 0xfa);
  return device == 0 ? kSuccess : kInvalidDevice;
}
CALL(cuDeviceGetAttribute, int* value, int attribute, Device device) {
  *value = attribute == kAttributeVmm || (attribute == kAttributePosixFd && !setting("no-fd"));
  if (attribute == kAttributeMajor) *value = 9;
  return device == 0 ? kSuccess : kInvalidDevice;
}
CALL(cuDevicePrimaryCtxRetain, Context* context, Device device) {
  if (!fake().ready) return kNotInitialized;
  const std::lock_guard lock(fake().mutex);
  ++fake().retained;
  *context = the_context();
  return device == 0 ? kSuccess : kInvalidDevice;
}
CALL(cuDevicePrimaryCtxRelease_v2, Device device) {
  const std::lock_guard lock(fake().mutex);
  if (device != 0 || fake().retained == 0) return kInvalidContext;
  --fake().retained;
  return kSuccess;
}
CALL(cuCtxPushCurrent_v2, Context context) {
  if (context != the_context() || fake().retained == 0) return kInvalidContext;
  current.push_back(context);
  return kSuccess;
}
CALL(cuCtxPopCurrent_v2, Context* context) {
  if (!has_context()) return kInvalidContext;
  *context = current.back();
  current.pop_back();
  return kSuccess;
}
CALL(cuCtxGetCurrent, Context* context) {
  *context = has_context() ? current.back() : nullptr;
  return kSuccess;
}
CALL(cuMemGetInfo_v2, size_t* available, size_t* total) {
  if (!has_context()) return kInvalidContext;
  const std::lock_guard lock(fake().mutex);
  *total = kTotalBytes;
  *available = kTotalBytes - fake().used;
  return kSuccess;
}
CALL(cuPointerGetAttribute, void* value, int attribute, Address address) {
  const std::lock_guard lock(fake().mutex);
  if (!reaches(address, 1, 0)) return kInvalidValue;
  if (attribute == kPointerContext) *static_cast<Context*>(value) = nullptr;
  if (attribute == kPointerDevice) {
    const Address range = std::prev(fake().ranges.upper_bound(address))->first;
    const auto found = fake().elsewhere.find(range);
    *static_cast<Device*>(value) = found == fake().elsewhere.end() ? 0 : found->second;
  }
  return attribute == kPointerContext || attribute == kPointerDevice ? kSuccess : kInvalidValue;
}

CALL(cuMemGetAllocationGranularity, size_t* bytes, const AllocationProperties* properties,
     unsigned option) {
  if (properties->type != AllocationProperties::kPinned || option > 1) return kInvalidValue;
  *bytes = kGranularity;
  return kSuccess;
}
CALL(cuMemCreate, Allocation* allocation, size_t bytes, const AllocationProperties* properties,
     unsigned long long flags) {
  const AllocationProperties& p = *properties;
  if (bytes == 0 || bytes % kGranularity != 0 || flags != 0) return kInvalidValue;
  if (p.type != AllocationProperties::kPinned || p.location.type != Location::kDevice ||
      p.location.id != 0 || p.handle_types != kHandlePosixFd) {
    return kInvalidValue;
  }
  const std::lock_guard lock(fake().mutex);
  if (bytes > kTotalBytes - fake().used) return kErrorOutOfMemory;
  const int fd = make_memory(bytes);
  if (fd < 0) return kErrorOutOfMemory;
  fake().used += bytes;
  *allocation = ++fake().last;
  fake().physical[*allocation] = {fd, bytes, 1, false};
  return kSuccess;
}
CALL(cuMemRelease, Allocation allocation) {
  const std::lock_guard lock(fake().mutex);
  const auto found = fake().physical.find(allocation);
  if (found == fake().physical.end()) return kInvalidHandle;
  ::close(found->second.fd);
  if (!found->second.imported) fake().used -= found->second.bytes;
  fake().physical.erase(found);
  return kSuccess;
}
CALL(cuMemExportToShareableHandle, void* fd, Allocation allocation, int type,
     unsigned long long flags) {
  const std::lock_guard lock(fake().mutex);
  const auto found = fake().physical.find(allocation);
  if (found == fake().physical.end()) return kInvalidHandle;
  if (type != kHandlePosixFd || flags != 0) return kInvalidValue;
  *static_cast<int*>(fd) = ::fcntl(found->second.fd, F_DUPFD_CLOEXEC, 0);
  return kSuccess;
}
CALL(cuMemImportFromShareableHandle, Allocation* allocation, void* handle, int type) {
  const int fd = static_cast<int>(reinterpret_cast<uintptr_t>(handle));
  struct stat found {};
  if (type != kHandlePosixFd || !is_our_memory(fd) || ::fstat(fd, &found) != 0)
    return kInvalidValue;
  const std::lock_guard lock(fake().mutex);
  *allocation = ++fake().last;
  const auto bytes = static_cast<size_t>(found.st_size);
  fake().physical[*allocation] = {::fcntl(fd, F_DUPFD_CLOEXEC, 0), bytes, 1, true};
  return kSuccess;
}
CALL(cuMemGetAllocationPropertiesFromHandle, AllocationProperties* properties,
     Allocation allocation) {
  const std::lock_guard lock(fake().mutex);
  *properties = {};
  return fake().physical.contains(allocation) ? kSuccess : kInvalidHandle;
}
CALL(cuMemAddressReserve, Address* address, size_t bytes, size_t alignment, Address hint,
     unsigned long long flags) {
  if (bytes == 0 || bytes % kGranularity != 0 || alignment != 0 || hint != 0 || flags != 0)
    return kInvalidValue;
  void* const memory =
      ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return kErrorOutOfMemory;
  const std::lock_guard lock(fake().mutex);
  *address = address_of(memory);
  fake().ranges[*address] = {bytes, 0, 0, false, false, -1};
  return kSuccess;
}
CALL(cuMemAddressFree, Address address, size_t bytes) {
  const std::lock_guard lock(fake().mutex);
  const auto found = fake().ranges.find(address);
  if (found == fake().ranges.end() || found->second.bytes != bytes || found->second.mapped != 0 ||
      found->second.plain || found->second.opened) {
    return kInvalidValue;
  }
  ::munmap(pointer_of(address), bytes);
  fake().ranges.erase(found);
  return kSuccess;
}
CALL(cuMemMap, Address address, size_t bytes, size_t offset, Allocation allocation,
     unsigned long long flags) {
  const std::lock_guard lock(fake().mutex);
  const auto physical = fake().physical.find(allocation);
  const auto range = fake().ranges.find(address);
  if (physical == fake().physical.end()) return kInvalidHandle;
  if (range == fake().ranges.end() || bytes == 0 || bytes % kGranularity != 0 || offset != 0 ||
      flags != 0 || bytes > range->second.bytes || bytes > physical->second.bytes ||
      range->second.mapped != 0) {
    return kInvalidValue;
  }
  if (::mmap(pointer_of(address), bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, physical->second.fd,
             0) == MAP_FAILED) {
    return kErrorOutOfMemory;
  }
  range->second.mapped = bytes;
  range->second.access = 0;
  return kSuccess;
}
CALL(cuMemUnmap, Address address, size_t bytes) {
  const std::lock_guard lock(fake().mutex);
  const auto found = fake().ranges.find(address);
  if (found == fake().ranges.end() || found->second.mapped == 0 || found->second.mapped != bytes ||
      found->second.plain || found->second.opened) {
    return kInvalidValue;
  }
  ::mmap(pointer_of(address), bytes, PROT_NONE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  found->second.mapped = 0;
  return kSuccess;
}
CALL(cuMemSetAccess, Address address, size_t bytes, const AccessDescription* access, size_t count) {
  const std::lock_guard lock(fake().mutex);
  const auto found = fake().ranges.find(address);
  const bool known =
      count == 1 && access->location.type == Location::kDevice && access->location.id == 0 &&
      (access->flags == AccessDescription::kRead || access->flags == AccessDescription::kReadWrite);
  if (!known || found == fake().ranges.end() || found->second.mapped != bytes) return kInvalidValue;
  // Only the driver's own copies reach device memory; they ask reaches().
  ::mprotect(pointer_of(address), bytes, PROT_READ | PROT_WRITE);
  found->second.access = access->flags;
  return kSuccess;
}

CALL(cuMemAlloc_v2, Address* address, size_t bytes) {
  if (!has_context()) return kInvalidContext;
  const std::lock_guard lock(fake().mutex);
  if (bytes == 0) return kInvalidValue;
  if (bytes > kTotalBytes - fake().used) return kErrorOutOfMemory;
  const int fd = make_memory(bytes);
  if (fd < 0) return kErrorOutOfMemory;
  fake().used += bytes;
  return map_plain(address, fd, bytes, false);
}
CALL(cuMemFree_v2, Address address) {
  if (!has_context()) return kInvalidContext;
  const std::lock_guard lock(fake().mutex);
  return unmap_plain(address, false);
}
CALL(cuMemHostAlloc, void** memory, size_t bytes, unsigned flags) {
  if (!has_context()) return kInvalidContext;
  if (bytes == 0 || flags != 0) return kInvalidValue;
  *memory = std::malloc(bytes);
  const std::lock_guard lock(fake().mutex);
  fake().pinned.insert(*memory);
  return kSuccess;
}
CALL(cuMemFreeHost, void* memory) {
  if (!has_context()) return kInvalidContext;
  const std::lock_guard lock(fake().mutex);
  if (fake().pinned.erase(memory) != 1) return kInvalidValue;
  std::free(memory);
  return kSuccess;
}
CALL(cuMemGetAddressRange_v2, Address* base, size_t* bytes, Address address) {
  if (!has_context()) return kInvalidContext;
  const std::lock_guard lock(fake().mutex);
  const auto found = fake().ranges.find(address);
  if (found == fake().ranges.end()) return kInvalidValue;
  *base = address;
  *bytes = found->second.bytes;
  return kSuccess;
}
CALL(cuIpcGetMemHandle, IpcHandle* handle, Address address) {
  const std::lock_guard lock(fake().mutex);
  const auto found = fake().ranges.find(address);
  if (found == fake().ranges.end() || !found->second.plain) return kInvalidValue;
  const IpcContent content{kIpcMagic, pid_namespace(), ::getpid(), found->second.fd,
                           found->second.bytes};
  *handle = {};
  std::memcpy(handle->bytes.data(), &content, sizeof(content));
  return kSuccess;
}
CALL(cuIpcOpenMemHandle_v2, Address* address, IpcHandle handle, unsigned flags) {
  if (!has_context()) return kInvalidContext;
  IpcContent content{};
  std::memcpy(&content, handle.bytes.data(), sizeof(content));
  if (flags != kIpcLazyPeerAccess || content.magic != kIpcMagic) return kInvalidValue;
  if (content.pid == ::getpid() || content.pid_namespace != pid_namespace()) return kInvalidContext;
  const std::lock_guard lock(fake().mutex);
  const std::string key(handle.bytes.begin(), handle.bytes.end());
  if (fake().open_handles.contains(key)) return kAlreadyMapped;
  const std::string path =
      "/proc/" + std::to_string(content.pid) + "/fd/" + std::to_string(content.fd);
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return kInvalidHandle;
  fake().open_handles.insert(key);
  return map_plain(address, fd, content.bytes, true);
}
CALL(cuIpcCloseMemHandle, Address address) {
  if (!has_context()) return kInvalidContext;
  const std::lock_guard lock(fake().mutex);
  fake().open_handles.clear();
  return unmap_plain(address, true);
}

CALL(cuStreamCreate, Stream* stream, unsigned flags) {
  if (!has_context()) return kInvalidContext;
  if (flags > kStreamNonBlocking) return kInvalidValue;
  const std::lock_guard lock(fake().mutex);
  *stream = reinterpret_cast<Stream>(++fake().last);
  fake().streams.insert(*stream);
  return kSuccess;
}
CALL(cuStreamDestroy_v2, Stream stream) {
  const std::lock_guard lock(fake().mutex);
  return fake().streams.erase(stream) == 1 ? kSuccess : kInvalidHandle;
}
CALL(cuStreamSynchronize, Stream stream) {
  if (!has_context()) return kInvalidContext;
  std::unique_lock lock(fake().mutex);
  return is_stream(stream) ? wait_for_work(lock) : kInvalidHandle;
}
CALL(cuLaunchHostFunc, Stream stream, void (*function)(void*), void* data) {
  if (!has_context()) return kInvalidContext;
  const std::lock_guard lock(fake().mutex);
  if (!is_stream(stream)) return kInvalidHandle;
  if (!std::exchange(fake().worker, true)) std::thread(work).detach();
  ++fake().given;
  fake().host_work.emplace_back(function, data);
  fake().changed.notify_all();
  return kSuccess;
}
CALL(cuMemcpy2DAsync_v2, const Copy2d* copy, Stream stream) {
  if (!has_context()) return kInvalidContext;
  const Copy2d& c = *copy;
  std::unique_lock lock(fake().mutex);
  const size_t last = c.height - 1;
  if (!is_stream(stream) || c.height == 0 || c.width_bytes == 0 || c.from_x != 0 || c.from_y != 0 ||
      c.to_x != 0 || c.to_y != 0 || c.width_bytes > c.from_pitch || c.width_bytes > c.to_pitch ||
      c.to_type != Copy2d::kDevice ||
      !reaches(c.to_device, last * c.to_pitch + c.width_bytes, AccessDescription::kReadWrite)) {
    return kInvalidValue;
  }
  const bool host = c.from_type == Copy2d::kHost;
  if (!host && !reaches(c.from_device, last * c.from_pitch + c.width_bytes, 1))
    return kInvalidValue;
  wait_for_work(lock);
  const auto* from = static_cast<const uint8_t*>(host ? c.from_host : pointer_of(c.from_device));
  auto* to = static_cast<uint8_t*>(pointer_of(c.to_device));
  for (size_t y = 0; y < c.height; ++y)
    std::memcpy(to + y * c.to_pitch, from + y * c.from_pitch, c.width_bytes);
  return kSuccess;
}
CALL(cuMemcpyDtoHAsync_v2, void* to, Address from, size_t bytes, Stream stream) {
  if (!has_context()) return kInvalidContext;
  std::unique_lock lock(fake().mutex);
  if (!is_stream(stream) || !reaches(from, bytes, AccessDescription::kRead)) return kInvalidValue;
  wait_for_work(lock);
  std::memcpy(to, pointer_of(from), bytes);
  return kSuccess;
}
CALL(cuMemcpyHtoDAsync_v2, Address to, const void* from, size_t bytes, Stream stream) {
  if (!has_context()) return kInvalidContext;
  std::unique_lock lock(fake().mutex);
  if (!is_stream(stream) || !reaches(to, bytes, AccessDescription::kReadWrite))
    return kInvalidValue;
  wait_for_work(lock);
  std::memcpy(pointer_of(to), from, bytes);
  return kSuccess;
}
CALL(cuModuleLoadData, Module* module, const void* image) {
  if (!has_context()) return kInvalidContext;
  const std::lock_guard lock(fake().mutex);
  return fake().modules.load(module, static_cast<const char*>(image));
}
CALL(cuModuleUnload, Module module) {
  if (!has_context()) return kInvalidContext;
  const std::lock_guard lock(fake().mutex);
  return fake().modules.unload(module);
}
CALL(cuModuleGetFunction, Function* function, Module module, const char* name) {
  if (!has_context()) return kInvalidContext;
  const std::lock_guard lock(fake().mutex);
  return fake().modules.function(function, module, name);
}
CALL(cuLaunchKernel, Function function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
     unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes, Stream stream,
     void** arguments, void** extra) {
  if (!has_context()) return kInvalidContext;
  std::unique_lock lock(fake().mutex);
  const unsigned threads = block_x * block_y * block_z;
  if (!fake().modules.has(function) || !is_stream(stream)) return kInvalidHandle;
  if (threads == 0 || threads > 1024 || grid_y > 65535 || grid_z > 65535 || block_z != 1 ||
      shared_bytes != 0 || extra != nullptr) {
    return kInvalidValue;
  }
  wait_for_work(lock);
  return run_preprocess(arguments[0], grid_x * block_x, grid_y * block_y, grid_z, reaches);
}

}  // extern "C"
#pragma GCC visibility pop
