#include "cuda_preprocess.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "cuda_preprocess_batch.h"
#include "cuda_preprocess_source.h"
#include "error.h"
#include "monotonic.h"

namespace framebus {
namespace {

using cuda::Address;
using cuda::CudaDevice;
using cuda::Stream;

constexpr const char* kObject = "CUDA preprocessing";
constexpr const char* kKernel = "framebus_preprocess";

int capability_of(const CudaDevice& device) {
  int major = 0;
  int minor = 0;
  const cuda::Driver& d = cuda::driver();
  cuda::check(d.device_attribute(&major, cuda::kAttributeMajor, device.device()), kObject,
              "cuDeviceGetAttribute");
  cuda::check(d.device_attribute(&minor, cuda::kAttributeMinor, device.device()), kObject,
              "cuDeviceGetAttribute");
  return major * 10 + minor;
}

std::string dotted(int major, int minor) {
  return std::to_string(major) + "." + std::to_string(minor);
}

Address address_of(const uint8_t* plane) { return reinterpret_cast<Address>(plane); }

}  // namespace

// A stream, and device memory for a tensor that goes on to the host.
class CudaPreprocessor::Workspace {
 public:
  explicit Workspace(const std::shared_ptr<const CudaDevice>& device)
      : device_(device), stream_(device) {}
  ~Workspace() {
    try {
      const cuda::CurrentContext current(device_->context());
      free_tensor();
    } catch (const Error&) {
      // The context is lost, and its memory with it.
    }
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  Stream stream() const { return stream_.get(); }
  // In the current context; what was in it is gone.
  Address tensor(size_t bytes) {
    if (bytes <= bytes_) return tensor_;
    free_tensor();
    cuda::check(cuda::driver().memory_alloc(&tensor_, bytes), kObject, "cuMemAlloc");
    bytes_ = bytes;
    return tensor_;
  }

 private:
  void free_tensor() {
    if (std::exchange(bytes_, 0) > 0) cuda::driver().memory_free(tensor_);
  }

  const std::shared_ptr<const CudaDevice> device_;
  const cuda::OwnStream stream_;
  Address tensor_ = 0;  // Owned when bytes_ is not 0.
  size_t bytes_ = 0;
};

CudaPreprocessor::CudaPreprocessor(std::shared_ptr<const CudaDevice> device,
                                   const cuda::Nvrtc& nvrtc, const cuda::KernelCache& cache)
    : device_(std::move(device)) {
  const cuda::CurrentContext current(device_->context());
  load_kernel(nvrtc, cache);
  const cuda::Result found = cuda::driver().module_function(&function_, module_, kKernel);
  if (found != cuda::kSuccess) cuda::driver().module_unload(module_);
  cuda::check(found, kObject, "cuModuleGetFunction");
}

CudaPreprocessor::~CudaPreprocessor() {
  try {
    const cuda::CurrentContext current(device_->context());
    cuda::driver().module_unload(module_);
  } catch (const Error&) {
    // The context is lost, and the module with it.
  }
}

void CudaPreprocessor::load_kernel(const cuda::Nvrtc& nvrtc, const cuda::KernelCache& cache) {
  const int capability = capability_of(*device_);
  const cuda::KernelKey key{.name = "preprocess",
                            .source = kCudaPreprocessSource,
                            .capability = capability,
                            .compiler = nvrtc.version()};
  description_ = "NVRTC " + dotted(nvrtc.version().major, nvrtc.version().minor) + " (" +
                 nvrtc.path() + "), kernel for compute capability " +
                 dotted(capability / 10, capability % 10);
  const std::optional<std::string> kept = cache.load(key);
  if (kept && load_module(*kept)) {
    description_ += " from " + cache.folder();
    return;
  }
  const auto start = monotonic_ns();
  const std::string code = nvrtc.compile(key.source, "cuda_preprocess_kernel.cu", capability);
  const auto ms = (monotonic_ns() - start) / 1'000'000;
  cuda::check(cuda::driver().module_load(&module_, code.c_str()), kObject, "cuModuleLoadData");
  description_ += " compiled in " + std::to_string(ms) + " ms";
  if (!cache.store(key, code)) description_ += ", not kept: no folder for it can be written";
}

bool CudaPreprocessor::load_module(const std::string& code) {
  // What the driver refuses is as bad as a damaged entry: it is compiled anew.
  return cuda::driver().module_load(&module_, code.c_str()) == cuda::kSuccess;
}

CudaPreprocessor& CudaPreprocessor::of_process(cuda::Device device) {
  struct Known {
    std::unique_ptr<CudaPreprocessor> made;
    std::optional<Error> failed;
  };
  using All = std::map<cuda::Device, Known>;
  static std::mutex mutex;
  // Never destroyed: the driver may be gone when a process ends.
  static All& all = *std::make_unique<All>().release();
  const std::lock_guard lock(mutex);
  Known& known = all[device];
  if (known.failed) throw Error(*known.failed);
  if (known.made != nullptr) return *known.made;
  try {
    cuda::Uuid uuid;
    cuda::check(cuda::driver().device_uuid(&uuid, device), kObject, "cuDeviceGetUuid");
    known.made = std::make_unique<CudaPreprocessor>(
        CudaDevice::with(uuid), cuda::Nvrtc::of_process(), cuda::KernelCache::of_user());
  } catch (const Error& error) {
    if (error.code() != std::string_view("NO_SPACE")) known.failed = error;
    throw;
  }
  return *known.made;
}

void CudaPreprocessor::check_device(std::span<const FrameView> frames, Address tensor) const {
  const auto check_one = [this](Address address, const char* what) {
    const cuda::Device device = device_of(address);
    if (device == device_->device()) return;
    throw Error("CUDA_DEVICE", std::string(kObject) + ": " + what + " lies on GPU " +
                                   std::to_string(device) + ", not on GPU " +
                                   std::to_string(device_->device()) +
                                   " as the others; make a batch of frames of one GPU");
  };
  for (const FrameView& frame : frames) check_one(address_of(frame.data[0]), "a frame");
  check_one(tensor, "the tensor");
}

std::vector<PreprocessGeometry> CudaPreprocessor::launch(std::span<const FrameView> frames,
                                                         const PreprocessSpec& spec, Address tensor,
                                                         Stream stream) const {
  const unsigned across = (spec.width + kernel::kBlockWidth - 1) / kernel::kBlockWidth;
  const unsigned down = (spec.height + kernel::kBlockHeight - 1) / kernel::kBlockHeight;
  for (size_t done = 0; done < frames.size(); done += kernel::kMostFrames) {
    const auto some =
        frames.subspan(done, std::min<size_t>(kernel::kMostFrames, frames.size() - done));
    const Address at = tensor + done * tensor_size(spec) * sizeof(float);
    kernel::Batch batch = preprocess_batch(some, spec, reinterpret_cast<float*>(at));
    std::array<void*, 1> arguments{&batch};  // Copied by the call.
    cuda::check(
        cuda::driver().launch_kernel(function_, across, down, static_cast<unsigned>(some.size()),
                                     kernel::kBlockWidth, kernel::kBlockHeight, 1, 0, stream,
                                     arguments.data(), nullptr),
        kObject, "cuLaunchKernel");
  }
  std::vector<PreprocessGeometry> geometries;
  geometries.reserve(frames.size());
  for (const FrameView& frame : frames) {
    const FrameFormat& format = frame.format;
    geometries.push_back(place_picture(format.width, format.height, spec).geometry);
  }
  return geometries;
}

std::vector<PreprocessGeometry> CudaPreprocessor::to_device(std::span<const FrameView> frames,
                                                            const PreprocessSpec& spec,
                                                            Address tensor, Stream stream) const {
  check_device(frames, tensor);
  const cuda::CurrentContext current(device_->context());
  return launch(frames, spec, tensor, stream);
}

std::unique_ptr<CudaPreprocessor::Workspace> CudaPreprocessor::take_workspace() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Workspace> workspace = std::move(idle_.back());
      idle_.pop_back();
      return workspace;
    }
  }
  return std::make_unique<Workspace>(device_);
}

void CudaPreprocessor::give_back(std::unique_ptr<Workspace> workspace) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(workspace));
}

std::vector<PreprocessGeometry> CudaPreprocessor::to_host(std::span<const FrameView> frames,
                                                          const PreprocessSpec& spec,
                                                          float* tensor) {
  if (frames.empty()) return {};
  const size_t bytes = frames.size() * tensor_size(spec) * sizeof(float);
  const cuda::CurrentContext current(device_->context());
  std::unique_ptr<Workspace> workspace = take_workspace();
  const Address on_device = workspace->tensor(bytes);
  check_device(frames, on_device);
  const Stream stream = workspace->stream();
  std::vector<PreprocessGeometry> geometries;
  cuda::Result copied = cuda::kSuccess;
  try {
    geometries = launch(frames, spec, on_device, stream);
    copied = cuda::driver().copy_to_host(tensor, on_device, bytes, stream);
  } catch (const Error&) {
    cuda::driver().stream_synchronize(stream);  // The frames may be given back after this.
    throw;
  }
  const cuda::Result done = cuda::driver().stream_synchronize(stream);
  cuda::check(copied, kObject, "cuMemcpyDtoHAsync");
  cuda::check(done, kObject, "cuStreamSynchronize");
  give_back(std::move(workspace));
  return geometries;
}

cuda::Device device_of(Address address) {
  cuda::Device device = 0;
  const cuda::Result result =
      cuda::driver().pointer_attribute(&device, cuda::kPointerDevice, address);
  if (result == cuda::kSuccess) return device;
  throw Error("CUDA_DEVICE", std::string(kObject) +
                                 ": an address is no device memory: " + cuda::text_of(result) +
                                 "; give views that Lease::device() has made");
}

std::vector<PreprocessGeometry> preprocess_to_device(std::span<const FrameView> device_frames,
                                                     const PreprocessSpec& spec, Address tensor,
                                                     Stream stream) {
  if (device_frames.empty()) return {};
  const cuda::Device device = device_of(address_of(device_frames.front().data[0]));
  return CudaPreprocessor::of_process(device).to_device(device_frames, spec, tensor, stream);
}

CudaPreprocessProbe probe_cuda_preprocess() {
  try {
    const std::shared_ptr<const CudaDevice> first = CudaDevice::first();
    return {true, CudaPreprocessor::of_process(first->device()).description()};
  } catch (const Error& error) {
    return {false, error.what()};
  }
}

}  // namespace framebus
