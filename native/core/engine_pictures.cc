#include "engine_pictures.h"

#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "cuda_preprocess.h"
#include "error.h"
#include "preprocess_parts.h"

namespace framebus {
namespace {

constexpr size_t kAlignment = 64;  // A cache line, and the widest vectors.

size_t floats_of(const std::vector<int64_t>& dims) {
  size_t floats = 1;
  for (const int64_t length : dims) floats *= static_cast<size_t>(length);
  return floats;
}

float* allocate(size_t floats) {
  const size_t bytes = (floats * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
  void* const memory = std::aligned_alloc(kAlignment, bytes);
  if (memory == nullptr) {
    throw Error("ENGINE_MEMORY", "batch tensor: no memory for " + std::to_string(bytes) +
                                     " bytes; use a smaller batch");
  }
  std::memset(memory, 0, bytes);
  return static_cast<float*>(memory);
}

}  // namespace

void EnginePictures::Free::operator()(float* memory) const { std::free(memory); }

// Room on a GPU, and a stream to write it on.
class EnginePictures::OnGpu {
 public:
  OnGpu(std::shared_ptr<const cuda::CudaDevice> device, size_t bytes)
      : device_(std::move(device)), stream_(device_) {
    const cuda::CurrentContext current(device_->context());
    const cuda::Result result = cuda::driver().memory_alloc(&address_, bytes);
    if (result != cuda::kSuccess) {
      throw Error("ENGINE_MEMORY", "batch tensor on " + device_->name() + ": " +
                                       cuda::text_of(result) + "; use a smaller batch");
    }
  }
  ~OnGpu() {
    try {
      const cuda::CurrentContext current(device_->context());
      cuda::driver().stream_synchronize(stream_.get());
      cuda::driver().memory_free(address_);
    } catch (const Error&) {
      // The context is lost, and its memory with it.
    }
  }
  OnGpu(const OnGpu&) = delete;
  OnGpu& operator=(const OnGpu&) = delete;

  const cuda::CudaDevice& device() const { return *device_; }
  cuda::Address address() const { return address_; }
  cuda::Stream stream() const { return stream_.get(); }
  // A GPU that fails reads nothing any more either.
  void wait() const {
    const cuda::CurrentContext current(device_->context());
    cuda::driver().stream_synchronize(stream_.get());
  }

 private:
  const std::shared_ptr<const cuda::CudaDevice> device_;
  const cuda::OwnStream stream_;
  cuda::Address address_ = 0;
};

EnginePictures::EnginePictures(std::string input, std::vector<int64_t> dims, uint32_t most,
                               int32_t memory, int32_t gpu)
    : input_(std::move(input)),
      dims_(std::move(dims)),
      most_(most),
      floats_(floats_of(dims_)),
      host_(allocate(floats_ * most)),
      wants_gpu_(memory == FB_CUDA),
      gpu_(gpu) {}

EnginePictures::~EnginePictures() = default;

namespace {

// False when a frame does not lie on a GPU.
bool parts_on_gpu(std::span<const LeasedPart> frames, std::vector<FrameView>& views,
                  std::vector<FrameCrop>& crops) {
  for (const LeasedPart& frame : frames) {
    const FrameView whole = frame.lease->device();
    if (whole.data[0] == nullptr) return false;
    crops.push_back(frame.region ? crop(whole, *frame.region) : FrameCrop{0, 0, whole});
    views.push_back(crops.back().view);
  }
  return !views.empty();
}

std::shared_ptr<const cuda::CudaDevice> gpu_of(int32_t number) {
  cuda::Device device = 0;
  cuda::Uuid uuid;
  cuda::check(cuda::driver().device_get(&device, number), "GPU", "cuDeviceGet");
  cuda::check(cuda::driver().device_uuid(&uuid, device), "GPU", "cuDeviceGetUuid");
  return cuda::CudaDevice::with(uuid);
}

uint64_t address_of(const FrameView& view) { return reinterpret_cast<uint64_t>(view.data[0]); }

// The CPU can do the same.
bool is_spare(const Error& error) {
  const std::string_view code = error.code();
  return code == "NVRTC_UNAVAILABLE" || code == "CUDA_COMPILE" || code == "CUDA_DEVICE";
}

}  // namespace

bool EnginePictures::preprocess_on_gpu(std::span<const LeasedPart> frames,
                                       const PreprocessSpec& spec,
                                       std::vector<PreprocessGeometry>& geometries) {
  std::vector<FrameView> views;
  std::vector<FrameCrop> crops;
  if (!parts_on_gpu(frames, views, crops)) return false;
  try {
    if (on_gpu_ == nullptr) {
      on_gpu_ = std::make_unique<OnGpu>(gpu_of(gpu_), floats_ * most_ * sizeof(float));
    }
    // Frames of another GPU come over the host.
    if (device_of(address_of(views.front())) != on_gpu_->device().device()) return false;
    geometries = preprocess_to_device(views, spec, on_gpu_->address(), on_gpu_->stream());
  } catch (const Error& error) {
    if (!is_spare(error)) throw;
    wants_gpu_ = false;
    return false;
  }
  for (size_t i = 0; i < crops.size(); ++i) geometries[i] = in_whole_frame(geometries[i], crops[i]);
  held_.assign(frames.begin(), frames.end());
  return true;
}

std::vector<PreprocessGeometry> EnginePictures::preprocess(std::span<const LeasedPart> frames,
                                                           const PreprocessSpec& spec) {
  if (frames.size() > most_ || tensor_size(spec) != floats_) {
    throw Error("BAD_ARGUMENT", "pictures of input \"" + input_ + "\": there is room for " +
                                    std::to_string(most_) + " of " + std::to_string(floats_) +
                                    " floats");
  }
  release_frames();
  std::vector<PreprocessGeometry> geometries;
  is_on_gpu_ = wants_gpu_ && preprocess_on_gpu(frames, spec, geometries);
  return is_on_gpu_ ? geometries : preprocess_parts(frames, spec, host_.get());
}

void EnginePictures::release_frames() noexcept {
  if (held_.empty()) return;
  on_gpu_->wait();
  held_.clear();
}

fb_tensor EnginePictures::tensor(uint32_t batch) const {
  if (batch < 1 || batch > most_) {
    throw Error("BAD_ARGUMENT", "pictures of input \"" + input_ + "\": a batch of " +
                                    std::to_string(batch) + ", there is room for " +
                                    std::to_string(most_));
  }
  fb_tensor tensor{};
  tensor.name = input_.c_str();
  tensor.data = is_on_gpu_ ? reinterpret_cast<void*>(on_gpu_->address()) : host_.get();
  tensor.bytes = uint64_t{batch} * floats_ * sizeof(float);
  tensor.dims[0] = batch;
  for (size_t i = 0; i < dims_.size(); ++i) tensor.dims[i + 1] = dims_[i];
  tensor.rank = static_cast<uint32_t>(dims_.size() + 1);
  tensor.type = FB_FLOAT32;
  tensor.memory = is_on_gpu_ ? FB_CUDA : FB_HOST;
  return tensor;
}

void* EnginePictures::stream() const { return is_on_gpu_ ? on_gpu_->stream() : nullptr; }

}  // namespace framebus
