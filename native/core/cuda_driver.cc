#include "cuda_driver.h"

#include <dlfcn.h>

#include <mutex>

#include "error.h"

namespace framebus::cuda {
namespace {

constexpr const char* kLibrary = "libcuda.so.1";
constexpr const char* kInstall =
    "install the NVIDIA driver (in a container: start it with --gpus all, "
    "NVIDIA_DRIVER_CAPABILITIES=compute,video,utility), or use memory shm";

[[noreturn]] void unsupported(const std::string& why) {
  throw Error("MEMORY_UNSUPPORTED", "CUDA memory: " + why + "; " + kInstall);
}

template <class Function>
void find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
  if (function == nullptr) {
    unsupported(std::string(kLibrary) + " has no " + name +
                ": the driver is older than 470 (CUDA 11.4)");
  }
}

void find_devices(void* library, Driver& d) {
  find(library, "cuInit", d.init);
  find(library, "cuDriverGetVersion", d.driver_version);
  find(library, "cuGetErrorString", d.error_string);
  find(library, "cuDeviceGetCount", d.device_count);
  find(library, "cuDeviceGet", d.device_get);
  find(library, "cuDeviceGetName", d.device_name);
  find(library, "cuDeviceGetUuid_v2", d.device_uuid);
  find(library, "cuDeviceGetAttribute", d.device_attribute);
  find(library, "cuDevicePrimaryCtxRetain", d.primary_context_retain);
  find(library, "cuDevicePrimaryCtxRelease_v2", d.primary_context_release);
  find(library, "cuCtxPushCurrent_v2", d.context_push);
  find(library, "cuCtxPopCurrent_v2", d.context_pop);
  find(library, "cuCtxGetCurrent", d.context_current);
  find(library, "cuMemGetInfo_v2", d.memory_info);
  find(library, "cuPointerGetAttribute", d.pointer_attribute);
}

void find_memory(void* library, Driver& d) {
  find(library, "cuMemGetAllocationGranularity", d.allocation_granularity);
  find(library, "cuMemCreate", d.allocation_create);
  find(library, "cuMemRelease", d.allocation_release);
  find(library, "cuMemExportToShareableHandle", d.allocation_export);
  find(library, "cuMemImportFromShareableHandle", d.allocation_import);
  find(library, "cuMemGetAllocationPropertiesFromHandle", d.allocation_properties);
  find(library, "cuMemAddressReserve", d.address_reserve);
  find(library, "cuMemAddressFree", d.address_free);
  find(library, "cuMemMap", d.map);
  find(library, "cuMemUnmap", d.unmap);
  find(library, "cuMemSetAccess", d.set_access);
  find(library, "cuMemAlloc_v2", d.memory_alloc);
  find(library, "cuMemFree_v2", d.memory_free);
  find(library, "cuMemHostAlloc", d.host_alloc);
  find(library, "cuMemFreeHost", d.host_free);
  find(library, "cuMemGetAddressRange_v2", d.address_range);
  find(library, "cuIpcGetMemHandle", d.ipc_get);
  find(library, "cuIpcOpenMemHandle_v2", d.ipc_open);
  find(library, "cuIpcCloseMemHandle", d.ipc_close);
}

void find_streams(void* library, Driver& d) {
  find(library, "cuStreamCreate", d.stream_create);
  find(library, "cuStreamDestroy_v2", d.stream_destroy);
  find(library, "cuStreamSynchronize", d.stream_synchronize);
  find(library, "cuLaunchHostFunc", d.launch_host);
  find(library, "cuModuleLoadData", d.module_load);
  find(library, "cuModuleUnload", d.module_unload);
  find(library, "cuModuleGetFunction", d.module_function);
  find(library, "cuLaunchKernel", d.launch_kernel);
  find(library, "cuMemcpy2DAsync_v2", d.copy_2d);
  find(library, "cuMemcpyDtoHAsync_v2", d.copy_to_host);
  find(library, "cuMemcpyHtoDAsync_v2", d.copy_to_device);
}

std::string text_with(const Driver& d, Result result) {
  const char* text = nullptr;
  if (d.error_string(result, &text) != kSuccess || text == nullptr) text = "unknown error";
  return std::string(text) + " (CUDA error " + std::to_string(result) + ")";
}

Driver load() {
  // Never closed: the driver keeps threads.
  void* const library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const why = dlerror();
    unsupported(why != nullptr ? why : std::string(kLibrary) + " is not there");
  }
  Driver loaded{};
  find_devices(library, loaded);
  find_memory(library, loaded);
  find_streams(library, loaded);
  const Result result = loaded.init(0);
  if (result == kErrorNoDevice) unsupported("the driver finds no NVIDIA GPU");
  if (result != kSuccess) unsupported("cuInit: " + text_with(loaded, result));
  return loaded;
}

}  // namespace

const Driver& driver() {
  // Tried again after a failure: a device node may appear later.
  static const Driver loaded = load();
  return loaded;
}

std::string text_of(Result result) { return text_with(driver(), result); }

void check(Result result, const std::string& object, const char* call) {
  if (result == kSuccess) return;
  const std::string what = object + ": " + call + ": " + text_of(result);
  if (result == kErrorOutOfMemory) {
    throw Error("NO_SPACE", what + "; use fewer slots or streams on this GPU, or memory shm");
  }
  throw Error("BUS_MEMORY", what);
}

}  // namespace framebus::cuda
