#include "tensorrt_engine.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>

#include "engine_error.h"
#include "engine_precision.h"
#include "tensorrt_library.h"
#include "tensorrt_log.h"

namespace framebus::tensorrt {
namespace {

using nvinfer1::OptProfileSelector;

std::vector<char> read_plan(const std::string& plan) {
  std::ifstream in(plan, std::ios::binary);
  std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  if (bytes.empty()) throw EngineError(FB_DAMAGED, plan + ": it cannot be read, or is empty");
  return bytes;
}

bool is_open(const Tensor& tensor) {
  return std::any_of(tensor.dims.begin(), tensor.dims.begin() + tensor.rank,
                     [](int64_t length) { return length < 0; });
}

// By the type that TensorRT gives the tensor, not by what the ONNX file says: TensorRT 8
// makes int32 of int64.
uint64_t bytes_of(int32_t type, const Dims& dims, uint32_t rank) {
  uint64_t bytes = type == FB_INT64 ? 8 : type == FB_FLOAT16 ? 2 : 1;
  if (type == FB_FLOAT32 || type == FB_INT32) bytes = 4;
  for (uint32_t i = 0; i < rank; ++i) bytes *= static_cast<uint64_t>(dims[i]);
  return bytes;
}

// One stream is the same pointer to CUDA's driver and to its runtime.
cudaStream_t runtime_stream(cuda::Stream stream) { return reinterpret_cast<cudaStream_t>(stream); }

uint32_t narrow(int64_t length) {
  return static_cast<uint32_t>(
      std::clamp<int64_t>(length, 0, std::numeric_limits<uint32_t>::max()));
}

}  // namespace

PlanPlatform platform_of(const cuda::CudaDevice& device) {
  return {tensorrt_library().version, compute_capability(device), device.name()};
}

TensorrtEngine::TensorrtEngine(const fb_engine_options& options)
    : device_(open_device(options.device)), plan_(options.model) {
  try {
    open(options);
  } catch (...) {
    close();
    throw;
  }
}

TensorrtEngine::~TensorrtEngine() { close(); }

void TensorrtEngine::close() noexcept {
  const cuda::CurrentContext current(device_->context());
  if (running_) cuda::driver().stream_synchronize(stream_);
  context_.reset();
  engine_.reset();
  runtime_.reset();
  tensors_.clear();
  own_stream_.reset();
}

void TensorrtEngine::open(const fb_engine_options& options) {
  const PlanPlatform platform = platform_of(*device_);
  version_ = platform.tensorrt;
  const PlanSidecar sidecar = read_sidecar(plan_);
  const std::vector<char> bytes = read_plan(plan_);
  check_sidecar(sidecar, platform, plan_, bytes.size());
  const cuda::CurrentContext current(device_->context());
  own_stream_ = std::make_unique<cuda::OwnStream>(device_);
  load(sidecar.version_compatible, bytes);
  read_tensors();
  choose_profile(options.max_batch);
  describe();
  check_batch(options.max_batch);
}

void TensorrtEngine::load([[maybe_unused]] bool host_code_allowed, std::span<const char> plan) {
  const CapturedLog log;
  const TensorrtLibrary& library = tensorrt_library();
  runtime_.reset(static_cast<nvinfer1::IRuntime*>(
      library.create_runtime(&logger(), static_cast<int32_t>(NV_TENSORRT_VERSION))));
  if (runtime_ == nullptr) refuse(log, "TensorRT gives no runtime");
#if NV_TENSORRT_MAJOR > 8 || NV_TENSORRT_MINOR >= 6
  // A version-compatible plan carries code that runs on the host: only where we built it so.
  if (host_code_allowed) runtime_->setEngineHostCodeAllowed(true);
#endif
  engine_.reset(runtime_->deserializeCudaEngine(plan.data(), plan.size()));
  if (engine_ == nullptr) refuse(log, plan_ + ": TensorRT does not load it");
  context_.reset(engine_->createExecutionContext());
  if (context_ == nullptr) refuse(log, plan_ + ": TensorRT gives no context");
}

void TensorrtEngine::refuse(const CapturedLog& log, const std::string& what) const {
  const std::string why = log.text("it does not say why");
  throw EngineError(status_of(why), what + ": " + why);
}

void TensorrtEngine::read_tensors() {
  for (int32_t i = 0; i < engine_->getNbIOTensors(); ++i) read_tensor(i);
  std::stable_partition(tensors_.begin(), tensors_.end(),
                        [](const auto& tensor) { return tensor->is_input; });
}

void TensorrtEngine::read_tensor(int32_t index) {
  const char* const name = engine_->getIOTensorName(index);
  if (name == nullptr) throw EngineError(FB_FAILED, plan_ + ": a tensor without a name");
  auto tensor = std::make_unique<Tensor>(name, device_);
  const std::string what = plan_ + ": tensor \"" + tensor->name + "\"";
  const nvinfer1::TensorIOMode mode = engine_->getTensorIOMode(name);
  if (mode == nvinfer1::TensorIOMode::kNONE) throw EngineError(FB_FAILED, what + ": no direction");
  tensor->is_input = mode == nvinfer1::TensorIOMode::kINPUT;
  tensor->on_host = engine_->getTensorLocation(name) == nvinfer1::TensorLocation::kHOST;
  tensor->type = type_of(engine_->getTensorDataType(name));
  if (tensor->type == 0) {
    throw EngineError(FB_FAILED, what +
                                     ": of a type that framebus does not know; build the plan "
                                     "with --inputIOFormats and --outputIOFormats");
  }
  if (engine_->getTensorFormat(name) != nvinfer1::TensorFormat::kLINEAR) {
    throw EngineError(FB_FAILED, what + ": not row by row; build the plan without IO formats");
  }
  const nvinfer1::Dims dims = engine_->getTensorShape(name);
  if (dims.nbDims < 0) throw EngineError(FB_FAILED, what + ": no shape");
  tensor->rank = static_cast<uint32_t>(dims.nbDims);
  tensor->dims = tensor->least = tensor->optimal = tensor->most = to_dims(dims);
  if (!tensor->is_input && tensor->on_host) {
    throw EngineError(FB_FAILED, what + ": an output in host memory is not supported");
  }
  tensors_.push_back(std::move(tensor));
}

// One profile serves all batch sizes: the first that takes the largest one, else the one
// that takes most.
void TensorrtEngine::choose_profile(uint32_t max_batch) {
  const auto largest = [&](int32_t profile) {
    int64_t batch = std::numeric_limits<int64_t>::max();
    for (const auto& tensor : tensors_) {
      if (!tensor->is_input || tensor->on_host || tensor->rank == 0) continue;
      const nvinfer1::Dims most =
          engine_->getProfileShape(tensor->name.c_str(), profile, OptProfileSelector::kMAX);
      batch = std::min(batch, most.nbDims > 0 ? int64_t{most.d[0]} : tensor->dims[0]);
    }
    return batch;
  };
  for (int32_t profile = 1; profile < engine_->getNbOptimizationProfiles(); ++profile) {
    if (largest(profile_) >= max_batch) break;
    if (largest(profile) > largest(profile_)) profile_ = profile;
  }
  const CapturedLog log;
  if (profile_ != 0) {
    if (!context_->setOptimizationProfileAsync(profile_, runtime_stream(own_stream_->get()))) {
      refuse(log, plan_ + ": profile " + std::to_string(profile_));
    }
    check(cuda::driver().stream_synchronize(own_stream_->get()), "cuStreamSynchronize");
  }
  for (const auto& tensor : tensors_) {
    if (tensor->is_input && !tensor->on_host && is_open(*tensor)) read_profile(*tensor);
  }
}

void TensorrtEngine::read_profile(Tensor& tensor) const {
  const auto shape = [&](OptProfileSelector selector) {
    const nvinfer1::Dims dims = engine_->getProfileShape(tensor.name.c_str(), profile_, selector);
    if (dims.nbDims != static_cast<int32_t>(tensor.rank)) {
      throw EngineError(FB_FAILED, plan_ + ": tensor \"" + tensor.name + "\": no profile");
    }
    return to_dims(dims);
  };
  tensor.least = shape(OptProfileSelector::kMIN);
  tensor.optimal = shape(OptProfileSelector::kOPT);
  tensor.most = shape(OptProfileSelector::kMAX);
}

void TensorrtEngine::describe() {
  precision_ = actual_precision(*engine_);
  uint32_t min_batch = 1;
  uint32_t opt_batch = std::numeric_limits<uint32_t>::max();
  uint32_t max_batch = std::numeric_limits<uint32_t>::max();
  for (const auto& tensor : tensors_) {
    fb_tensor_info info{};
    info.name = tensor->name.c_str();
    std::copy(tensor->dims.begin(), tensor->dims.end(), info.dims);
    info.rank = tensor->rank;
    info.type = tensor->type;
    infos_.push_back(info);
    if (!tensor->is_input) continue;
    ++description_.input_count;
    if (tensor->on_host || tensor->rank == 0) continue;
    min_batch = std::max(min_batch, narrow(tensor->least[0]));
    opt_batch = std::min(opt_batch, narrow(tensor->optimal[0]));
    max_batch = std::min(max_batch, narrow(tensor->most[0]));
  }
  description_.engine = "tensorrt";
  description_.version = version_.c_str();
  description_.device = device_->name().c_str();
  description_.precision = precision_.empty() ? nullptr : precision_.c_str();
  description_.inputs = infos_.data();
  description_.outputs = infos_.data() + description_.input_count;
  description_.output_count = static_cast<uint32_t>(infos_.size()) - description_.input_count;
  description_.min_batch = min_batch;
  description_.opt_batch = opt_batch;
  description_.max_batch = max_batch;
  description_.memory = FB_CUDA;
}

void TensorrtEngine::check_batch(uint32_t max_batch) const {
  if (max_batch <= description_.max_batch) return;
  throw EngineError(FB_WRONG_SHAPE, plan_ + ": it takes batches of up to " +
                                        std::to_string(description_.max_batch) + ", not " +
                                        std::to_string(max_batch));
}

Tensor& TensorrtEngine::named(const char* name) const {
  for (uint32_t i = 0; i < input_count(); ++i) {
    if (tensors_[i]->name == name) return *tensors_[i];
  }
  throw EngineError(FB_BAD_ARGUMENT, plan_ + ": it has no input \"" + std::string(name) + "\"");
}

void TensorrtEngine::enqueue(std::span<const fb_tensor> inputs, cuda::Stream stream) {
  if (running_) throw EngineError(FB_BAD_ARGUMENT, plan_ + ": a run was not collected");
  if (inputs.size() != input_count()) {
    throw EngineError(FB_BAD_ARGUMENT, plan_ + ": it has " + std::to_string(input_count()) +
                                           " inputs, given are " + std::to_string(inputs.size()));
  }
  const cuda::CurrentContext current(device_->context());
  const CapturedLog log;
  stream_ = stream != nullptr ? stream : own_stream_->get();
  try {
    for (const fb_tensor& given : inputs) set_input(log, named(given.name), given);
    if (!context_->allInputDimensionsSpecified()) refuse(log, plan_ + ": inputs are missing");
    for (size_t i = input_count(); i < tensors_.size(); ++i) set_output(log, *tensors_[i]);
    if (!context_->enqueueV3(runtime_stream(stream_)))
      refuse(log, plan_ + ": the run was not started");
    copy_outputs(log);
  } catch (...) {
    // What has been given to the GPU already must not outlive the caller's inputs.
    cuda::driver().stream_synchronize(stream_);
    throw;
  }
  running_ = true;
}

void TensorrtEngine::check_input(const Tensor& tensor, const fb_tensor& given) const {
  const std::string what = plan_ + ": input \"" + tensor.name + "\": ";
  if (given.type != tensor.type) throw EngineError(FB_BAD_ARGUMENT, what + "of another type");
  const Dims dims = [&] {
    Dims copied{};
    std::copy_n(given.dims, std::min<uint32_t>(given.rank, FB_ENGINE_MAX_RANK), copied.begin());
    return copied;
  }();
  bool fits = given.rank == tensor.rank;
  for (uint32_t i = 0; fits && i < tensor.rank; ++i) {
    fits = dims[i] >= tensor.least[i] && dims[i] <= tensor.most[i];
  }
  if (!fits) {
    throw EngineError(FB_WRONG_SHAPE, what + "it takes " +
                                          text_of(tensor.least, tensor.most, tensor.rank) +
                                          ", given is " + text_of(dims, dims, given.rank));
  }
  if (given.bytes != bytes_of(tensor.type, dims, tensor.rank)) {
    throw EngineError(FB_BAD_ARGUMENT, what + "wrong number of bytes");
  }
  if (given.memory == FB_CUDA && reinterpret_cast<uintptr_t>(given.data) % 256 != 0) {
    throw EngineError(FB_BAD_ARGUMENT, what + "its address is not aligned to 256 bytes");
  }
}

void TensorrtEngine::set_input(const CapturedLog& log, Tensor& tensor, const fb_tensor& given) {
  const char* const name = tensor.name.c_str();
  const std::string what = plan_ + ": input \"" + tensor.name + "\"";
  check_input(tensor, given);
  if (is_open(tensor)) {
    Dims dims{};
    std::copy_n(given.dims, tensor.rank, dims.begin());
    if (!context_->setInputShape(name, from_dims(dims, tensor.rank))) refuse(log, what);
  }
  void* address = given.data;
  if (!tensor.on_host && given.memory == FB_HOST) {
    address = tensor.device.reserve(given.bytes);
    if (given.bytes > 0) {
      check(
          cuda::driver().copy_to_device(tensor.device.address(), given.data, given.bytes, stream_),
          "cuMemcpyHtoDAsync");
    }
  }
  if (!context_->setTensorAddress(name, address)) refuse(log, what);
}

void TensorrtEngine::set_output(const CapturedLog& log, Tensor& tensor) {
  const char* const name = tensor.name.c_str();
  const std::string what = plan_ + ": output \"" + tensor.name + "\"";
  const nvinfer1::Dims dims = context_->getTensorShape(name);
  if (dims.nbDims != static_cast<int32_t>(tensor.rank)) refuse(log, what + ": no shape");
  const Dims lengths = to_dims(dims);
  const bool known = std::all_of(lengths.begin(), lengths.begin() + tensor.rank,
                                 [](int64_t length) { return length >= 0; });
  if (known && tensor.allocator == nullptr) {
    void* const address = tensor.device.reserve(bytes_of(tensor.type, lengths, tensor.rank));
    if (!context_->setTensorAddress(name, address)) refuse(log, what);
    return;
  }
  if (tensor.allocator == nullptr) {
    tensor.allocator = std::make_unique<OutputAllocator>(tensor.device);
  }
  tensor.allocator->forget();
  if (!context_->setOutputAllocator(name, tensor.allocator.get())) refuse(log, what);
}

// TensorRT has told all shapes by now: an allocator hears of its one before enqueueV3 returns.
void TensorrtEngine::copy_outputs(const CapturedLog& log) {
  outputs_.clear();
  for (size_t i = input_count(); i < tensors_.size(); ++i) {
    Tensor& tensor = *tensors_[i];
    fb_tensor output{};
    if (tensor.allocator != nullptr && !tensor.allocator->shape()) {
      refuse(log, plan_ + ": output \"" + tensor.name + "\": TensorRT did not say its shape");
    }
    const Dims dims =
        to_dims(tensor.allocator != nullptr ? *tensor.allocator->shape()
                                            : context_->getTensorShape(tensor.name.c_str()));
    output.name = tensor.name.c_str();
    output.bytes = bytes_of(tensor.type, dims, tensor.rank);
    std::copy(dims.begin(), dims.end(), output.dims);
    output.rank = tensor.rank;
    output.type = tensor.type;
    output.memory = FB_HOST;
    output.data = tensor.host.reserve(output.bytes);
    if (output.bytes > 0) {
      check(
          cuda::driver().copy_to_host(output.data, tensor.device.address(), output.bytes, stream_),
          "cuMemcpyDtoHAsync");
    }
    outputs_.push_back(output);
  }
}

std::span<const fb_tensor> TensorrtEngine::collect() {
  if (!running_) throw EngineError(FB_BAD_ARGUMENT, plan_ + ": nothing was enqueued");
  running_ = false;
  const cuda::CurrentContext current(device_->context());
  const CapturedLog log;
  const cuda::Result result = cuda::driver().stream_synchronize(stream_);
  if (result != cuda::kSuccess) {
    throw EngineError(FB_FAILED, plan_ + ": the run failed: " + cuda::text_of(result) + "; " +
                                     log.text("TensorRT does not say why"));
  }
  return outputs_;
}

}  // namespace framebus::tensorrt
