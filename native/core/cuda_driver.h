// NVIDIA's driver library, loaded at run time: the part of it that the bus uses.
//
// Types and values are those of the CUDA driver API's public documentation; no
// vendor header is needed to build, and no library to start.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace framebus::cuda {

using Result = int;                     // CUresult; 0 is success.
using Device = int;                     // CUdevice
using Address = unsigned long long;     // CUdeviceptr
using Allocation = unsigned long long;  // CUmemGenericAllocationHandle
struct ContextTag;
using Context = ContextTag*;  // CUcontext
struct StreamTag;
using Stream = StreamTag*;  // CUstream; null is the legacy default stream.
struct ModuleTag;
using Module = ModuleTag*;  // CUmodule
struct FunctionTag;
using Function = FunctionTag*;  // CUfunction

constexpr Result kSuccess = 0;
constexpr Result kErrorOutOfMemory = 2;
constexpr Result kErrorNoDevice = 100;

struct Uuid {  // CUuuid
  std::array<uint8_t, 16> bytes{};
};
struct IpcHandle {  // CUipcMemHandle
  std::array<uint8_t, 64> bytes{};
};

struct Location {  // CUmemLocation
  static constexpr int kDevice = 1;
  int type = kDevice;
  int id = 0;
};
constexpr int kHandlePosixFd = 1;
struct AllocationProperties {  // CUmemAllocationProp
  static constexpr int kPinned = 1;
  int type = kPinned;
  int handle_types = kHandlePosixFd;
  Location location;
  void* win32_meta_data = nullptr;
  struct {
    uint8_t compression = 0;
    uint8_t gpu_direct_rdma = 0;
    uint16_t usage = 0;
    uint8_t reserved[4] = {};
  } flags;
};
static_assert(sizeof(AllocationProperties) == 32);

struct AccessDescription {  // CUmemAccessDesc
  static constexpr int kRead = 1;
  static constexpr int kReadWrite = 3;
  Location location;
  int flags = 0;
};

struct Copy2d {  // CUDA_MEMCPY2D
  static constexpr int kHost = 1;
  static constexpr int kDevice = 2;
  size_t from_x = 0;
  size_t from_y = 0;
  int from_type = kDevice;
  const void* from_host = nullptr;
  Address from_device = 0;
  void* from_array = nullptr;
  size_t from_pitch = 0;
  size_t to_x = 0;
  size_t to_y = 0;
  int to_type = kDevice;
  void* to_host = nullptr;
  Address to_device = 0;
  void* to_array = nullptr;
  size_t to_pitch = 0;
  size_t width_bytes = 0;
  size_t height = 0;
};
static_assert(sizeof(Copy2d) == 128);

constexpr int kAttributeMajor = 75;          // COMPUTE_CAPABILITY_MAJOR
constexpr int kAttributeMinor = 76;          // COMPUTE_CAPABILITY_MINOR
constexpr int kAttributeVmm = 102;           // VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED
constexpr int kAttributePosixFd = 103;       // HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED
constexpr int kPointerContext = 1;           // CU_POINTER_ATTRIBUTE_CONTEXT
constexpr int kPointerDevice = 9;            // CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
constexpr unsigned kGranularityMinimum = 0;  // CU_MEM_ALLOC_GRANULARITY_MINIMUM
constexpr unsigned kStreamNonBlocking = 1;   // CU_STREAM_NON_BLOCKING
constexpr unsigned kIpcLazyPeerAccess = 1;   // CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS

// Its entry points; none is null.
struct Driver {
  Result (*init)(unsigned flags);
  Result (*driver_version)(int* version);  // Of CUDA: 13000 is 13.0.
  Result (*error_string)(Result result, const char** text);
  Result (*device_count)(int* count);
  Result (*device_get)(Device* device, int ordinal);
  Result (*device_name)(char* name, int bytes, Device device);
  Result (*device_uuid)(Uuid* uuid, Device device);
  Result (*device_attribute)(int* value, int attribute, Device device);
  Result (*primary_context_retain)(Context* context, Device device);
  Result (*primary_context_release)(Device device);
  Result (*context_push)(Context context);
  Result (*context_pop)(Context* context);
  Result (*context_current)(Context* context);
  Result (*memory_info)(size_t* free, size_t* total);
  Result (*allocation_granularity)(size_t* bytes, const AllocationProperties* properties,
                                   unsigned option);
  Result (*allocation_create)(Allocation* allocation, size_t bytes,
                              const AllocationProperties* properties, unsigned long long flags);
  Result (*allocation_release)(Allocation allocation);
  Result (*allocation_export)(void* fd, Allocation allocation, int type, unsigned long long flags);
  Result (*allocation_import)(Allocation* allocation, void* fd, int type);
  Result (*allocation_properties)(AllocationProperties* properties, Allocation allocation);
  Result (*address_reserve)(Address* address, size_t bytes, size_t alignment, Address hint,
                            unsigned long long flags);
  Result (*address_free)(Address address, size_t bytes);
  Result (*map)(Address address, size_t bytes, size_t offset, Allocation allocation,
                unsigned long long flags);
  Result (*unmap)(Address address, size_t bytes);
  Result (*set_access)(Address address, size_t bytes, const AccessDescription* access,
                       size_t count);
  Result (*memory_alloc)(Address* address, size_t bytes);
  Result (*memory_free)(Address address);
  Result (*host_alloc)(void** memory, size_t bytes, unsigned flags);
  Result (*host_free)(void* memory);
  Result (*address_range)(Address* base, size_t* bytes, Address address);
  Result (*ipc_get)(IpcHandle* handle, Address address);
  Result (*ipc_open)(Address* address, IpcHandle handle, unsigned flags);
  Result (*ipc_close)(Address address);
  Result (*pointer_attribute)(void* value, int attribute, Address address);
  Result (*stream_create)(Stream* stream, unsigned flags);
  Result (*stream_destroy)(Stream stream);
  Result (*stream_synchronize)(Stream stream);
  Result (*launch_host)(Stream stream, void (*function)(void* data), void* data);
  Result (*module_load)(Module* module, const void* image);
  Result (*module_unload)(Module module);
  Result (*module_function)(Function* function, Module module, const char* name);
  Result (*launch_kernel)(Function function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                          unsigned block_x, unsigned block_y, unsigned block_z,
                          unsigned shared_bytes, Stream stream, void** arguments, void** extra);
  Result (*copy_2d)(const Copy2d* copy, Stream stream);
  Result (*copy_to_host)(void* to, Address from, size_t bytes, Stream stream);
  Result (*copy_to_device)(Address to, const void* from, size_t bytes, Stream stream);
};

// The process's driver: libcuda.so.1 as the loader finds it (LD_LIBRARY_PATH,
// ldconfig), initialised at the first call that succeeds and never unloaded.
// Throws MEMORY_UNSUPPORTED when there is no driver or no GPU.
const Driver& driver();

// "out of memory (CUDA error 2)".
std::string text_of(Result result);

// Throws unless `result` is success: NO_SPACE when the GPU's memory is used up,
// otherwise BUS_MEMORY. `object`: whose memory it is; `call`: what failed.
void check(Result result, const std::string& object, const char* call);

}  // namespace framebus::cuda
