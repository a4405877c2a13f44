// A libnvinfer for machines without TensorRT: what the engine calls, and nothing else.
// Its plans are text files:
//
//   fake-plan
//   input images f32 -1,3,2,2 1,3,2,2 2,3,2,2 4,3,2,2    (min, opt, max; "-" without a profile)
//   output sums f32 -1
//   output found f32 -1,2
//   output ids i64 -1,2
//   fail enqueueV3                                       (that call fails, and logs why)
//   words not compatible with this version              (what is logged then)
//   layers "Format/Datatype": "Half"                      (what the inspector says)
//   profiles 2                                           (three more shapes for each)
//
// It is strict: every address must be set, aligned, and device memory large enough to be
// read or written, and every open shape given. "sums": the sum of each picture; "found":
// (picture, value) of each value above 0.5, with an allocator; "ids": 10 x picture + 0, 1.
// FRAMEBUS_FAKE_TENSORRT=version=N makes getInferLibVersion() say N.
#include <NvInfer.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tensorrt_stubs.h"

namespace {

using namespace nvinfer1;

struct FakeTensor {
  std::string name;
  bool input = false;
  DataType type = DataType::kFLOAT;
  std::vector<int64_t> dims;
  std::vector<std::vector<int64_t>> profiles;  // min, opt, max of each profile.
  bool linear = true;
};

struct Plan {
  std::vector<FakeTensor> tensors;
  std::set<std::string> failing;
  std::string words = "failed on purpose";
  std::string layers;
  int32_t profiles = 1;
  bool host_code = false;
};

unsigned alive = 0;  // Objects that have not been deleted.
ILogger* the_logger = nullptr;

void complain(const std::string& text) {
  the_logger->log(ILogger::Severity::kINFO, "not of interest");
  the_logger->log(ILogger::Severity::kERROR, text.c_str());
}

std::vector<int64_t> numbers(const std::string& text) {
  std::vector<int64_t> out;
  std::istringstream in(text);
  for (std::string one; std::getline(in, one, ',');) out.push_back(std::stoll(one));
  return out;
}

Dims dims_of(const std::vector<int64_t>& lengths) {
  Dims dims{};
  dims.nbDims = static_cast<int32_t>(lengths.size());
  for (size_t i = 0; i < lengths.size(); ++i) {
    dims.d[i] = static_cast<std::remove_reference_t<decltype(dims.d[0])>>(lengths[i]);
  }
  return dims;
}

std::vector<int64_t> lengths_of(const Dims& dims) {
  return {dims.d, dims.d + std::max<int64_t>(0, dims.nbDims)};
}

DataType type_named(const std::string& name) {
  if (name == "f16") return DataType::kHALF;
  if (name == "i32") return DataType::kINT32;
  if (name == "u8") return DataType::kUINT8;
  if (name == "bool") return DataType::kBOOL;
  if (name == "fp8") return DataType::kFP8;
#if NV_TENSORRT_MAJOR >= 10
  if (name == "i64") return DataType::kINT64;
#else
  if (name == "i64") return DataType::kINT32;  // As TensorRT 8 does.
#endif
  return DataType::kFLOAT;
}

// Null when it is no plan.
std::unique_ptr<Plan> parse(const std::string& text) {
  auto plan = std::make_unique<Plan>();
  std::istringstream in(text);
  std::string line;
  if (!std::getline(in, line) || line != "fake-plan") return nullptr;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string kind;
    std::string name;
    std::string type;
    std::string dims;
    words >> kind >> name;
    if (kind == "fail") plan->failing.insert(name);
    if (kind == "words") plan->words = line.substr(6);
    if (kind == "layers") plan->layers = line.substr(7) + "\n";
    if (kind == "profiles") plan->profiles = std::stoi(name);
    if (kind != "input" && kind != "output") continue;
    words >> type >> dims;
    FakeTensor tensor{name, kind == "input", type_named(type), numbers(dims), {}, true};
    for (std::string shape; words >> shape;) {
      if (shape == "chw32")
        tensor.linear = false;
      else
        tensor.profiles.push_back(numbers(shape));
    }
    plan->tensors.push_back(tensor);
  }
  return plan;
}

class Counted {
 public:
  Counted() { ++alive; }
  ~Counted() { --alive; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
};

class ContextImpl : public apiv::StubExecutionContext, Counted {
 public:
  explicit ContextImpl(const Plan& plan) : plan_(plan) {}

  bool setOptimizationProfileAsync(int32_t profile, cudaStream_t stream) noexcept override {
    if (fails("setOptimizationProfileAsync") || stream == nullptr) return false;
    profile_ = profile;
    return profile < plan_.profiles;
  }
  bool setInputShape(const char* name, const Dims& dims) noexcept override {
    if (fails("setInputShape")) return false;
    const FakeTensor& tensor = find(name);
    const std::vector<int64_t> lengths = lengths_of(dims);
    const auto first = static_cast<size_t>(profile_) * 3;
    for (size_t i = 0; i < lengths.size(); ++i) {
      if (lengths[i] < tensor.profiles[first][i] || lengths[i] > tensor.profiles[first + 2][i]) {
        complain("setInputShape: outside of the profile");
        return false;
      }
    }
    shapes_[name] = lengths;
    return true;
  }
  bool allInputDimensionsSpecified() const noexcept override {
    if (fails("allInputDimensionsSpecified")) return false;
    return std::all_of(plan_.tensors.begin(), plan_.tensors.end(), [&](const FakeTensor& tensor) {
      return !tensor.input || !is_open(tensor) || shapes_.contains(tensor.name);
    });
  }
  Dims getTensorShape(const char* name) const noexcept override {
    if (fails("getTensorShape")) return Dims{-1, {}};
    return dims_of(shape_of(find(name)));
  }
  bool setTensorAddress(const char* name, void* data) noexcept override {
    if (fails("setTensorAddress")) return false;
    if (data == nullptr || reinterpret_cast<uintptr_t>(data) % 256 != 0) {
      complain("setTensorAddress: null or not aligned");
      return false;
    }
    addresses_[name] = data;
    return true;
  }
  bool setOutputAllocator(const char* name, IOutputAllocator* allocator) noexcept override {
    if (fails("setOutputAllocator")) return false;
    allocators_[name] = allocator;
    return true;
  }
  bool enqueueV3(cudaStream_t stream) noexcept override {
    if (fails("enqueueV3")) return false;
    if (stream == nullptr) {
      complain("enqueueV3: the default stream");
      return false;
    }
    for (const FakeTensor& tensor : plan_.tensors) {
      if (!addresses_.contains(tensor.name) && !allocators_.contains(tensor.name)) {
        complain("enqueueV3: no address for " + tensor.name);
        return false;
      }
    }
    return std::all_of(plan_.tensors.begin(), plan_.tensors.end(), [&](const FakeTensor& tensor) {
      return tensor.input || write(tensor, stream);
    });
  }

 private:
  static bool is_open(const FakeTensor& tensor) {
    return std::find(tensor.dims.begin(), tensor.dims.end(), -1) != tensor.dims.end();
  }
  bool fails(const char* call) const {
    if (!plan_.failing.contains(call)) return false;
    complain(std::string(call) + ": " + plan_.words);
    return true;
  }
  const FakeTensor& find(const std::string& name) const {
    return *std::find_if(plan_.tensors.begin(), plan_.tensors.end(),
                         [&](const FakeTensor& tensor) { return tensor.name == name; });
  }
  // The batch is the first input's; what else is open is known after the run only.
  std::vector<int64_t> shape_of(const FakeTensor& tensor) const {
    std::vector<int64_t> lengths = tensor.dims;
    const auto known = shapes_.find(tensor.name);
    if (known != shapes_.end()) return known->second;
    if (tensor.name != "found" && !lengths.empty() && lengths[0] < 0) lengths[0] = batch();
    return lengths;
  }
  int64_t batch() const {
    const FakeTensor& first = plan_.tensors.front();
    const auto given = shapes_.find(first.name);
    return given != shapes_.end() ? given->second[0] : first.dims[0];
  }
  std::vector<float> picture(int64_t index) const {
    const FakeTensor& first = plan_.tensors.front();
    size_t size = 1;
    for (size_t i = 1; i < first.dims.size(); ++i) size *= static_cast<size_t>(first.dims[i]);
    std::vector<float> out(size);
    const auto* const all = static_cast<const float*>(addresses_.at(first.name));
    std::copy_n(all + static_cast<size_t>(index) * size, size, out.begin());
    return out;
  }

  bool write(const FakeTensor& tensor, cudaStream_t stream) {
    if (tensor.name == "found") return write_found(tensor, stream);
    for (int64_t i = 0; i < batch(); ++i) {
      if (tensor.name == "sums") {
        float sum = 0;
        for (const float value : picture(i)) sum += value;
        static_cast<float*>(addresses_.at(tensor.name))[i] = sum;
      }
      for (int64_t j = 0; tensor.name == "ids" && j < 2; ++j) {
        using Id = std::conditional_t<(NV_TENSORRT_MAJOR >= 10), int64_t, int32_t>;
        static_cast<Id*>(addresses_.at(tensor.name))[i * 2 + j] = static_cast<Id>(i * 10 + j);
      }
    }
    return true;
  }

  bool write_found(const FakeTensor& tensor, [[maybe_unused]] cudaStream_t stream) {
    std::vector<float> rows;
    for (int64_t i = 0; i < batch(); ++i) {
      for (const float value : picture(i)) {
        if (value > 0.5F) rows.insert(rows.end(), {static_cast<float>(i), value});
      }
    }
    const size_t bytes = rows.size() * sizeof(float);
    IOutputAllocator* const allocator = allocators_.at(tensor.name);
    const char* const name = tensor.name.c_str();
#if NV_TENSORRT_MAJOR >= 10
    void* const memory = allocator->reallocateOutputAsync(name, nullptr, bytes, 256, stream);
#else
    void* const memory = allocator->reallocateOutput(name, nullptr, bytes, 256);
#endif
    if (memory == nullptr) {
      complain("reallocateOutput returned null: out of memory");
      return false;
    }
    if (bytes > 0) std::memcpy(memory, rows.data(), bytes);
    if (!fails("notifyShape")) {
      allocator->notifyShape(name, dims_of({static_cast<int64_t>(rows.size() / 2), 2}));
    }
    return true;
  }

  const Plan& plan_;
  int32_t profile_ = 0;
  std::map<std::string, std::vector<int64_t>> shapes_;
  std::map<std::string, void*> addresses_;
  std::map<std::string, IOutputAllocator*> allocators_;
};

class Context : public IExecutionContext {
 public:
  explicit Context(const Plan& plan) : impl_(plan) { mImpl = &impl_; }

 private:
  ContextImpl impl_;
};

class InspectorImpl : public apiv::StubEngineInspector, Counted {
 public:
  explicit InspectorImpl(const Plan& plan) : plan_(plan) {}
  const char* getEngineInformation(LayerInformationFormat) const noexcept override {
    return plan_.layers.c_str();
  }

 private:
  const Plan& plan_;
};

class Inspector : public IEngineInspector {
 public:
  explicit Inspector(const Plan& plan) : impl_(plan) { mImpl = &impl_; }

 private:
  InspectorImpl impl_;
};

class EngineImpl : public apiv::StubCudaEngine, Counted {
 public:
  explicit EngineImpl(std::unique_ptr<Plan> plan) : plan_(std::move(plan)) {}

  int32_t getNbIOTensors() const noexcept override {
    return static_cast<int32_t>(plan_->tensors.size());
  }
  const char* getIOTensorName(int32_t index) const noexcept override {
    return plan_->tensors[static_cast<size_t>(index)].name.c_str();
  }
  TensorIOMode getTensorIOMode(const char* name) const noexcept override {
    return find(name).input ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
  }
  DataType getTensorDataType(const char* name) const noexcept override { return find(name).type; }
  Dims getTensorShape(const char* name) const noexcept override { return dims_of(find(name).dims); }
  TensorLocation getTensorLocation(const char*) const noexcept override {
    return TensorLocation::kDEVICE;
  }
  TensorFormat getTensorFormat(const char* name) const noexcept override {
    return find(name).linear ? TensorFormat::kLINEAR : TensorFormat::kCHW32;
  }
  int32_t getNbOptimizationProfiles() const noexcept override { return plan_->profiles; }
  Dims getProfileShape(const char* name, int32_t profile,
                       OptProfileSelector selector) const noexcept override {
    const FakeTensor& tensor = find(name);
    const auto index = static_cast<size_t>(profile) * 3 + static_cast<size_t>(selector);
    if (!tensor.profiles.empty()) return dims_of(tensor.profiles[index]);
    return dims_of(tensor.dims);
  }
  IEngineInspector* createEngineInspector() const noexcept override {
    return std::make_unique<Inspector>(*plan_).release();
  }
#if NV_TENSORRT_MAJOR >= 10
  IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy) noexcept override {
#else
  IExecutionContext* createExecutionContext() noexcept override {
#endif
    if (plan_->failing.contains("createExecutionContext")) {
      complain(plan_->words);
      return nullptr;
    }
    return std::make_unique<Context>(*plan_).release();
  }

 private:
  const FakeTensor& find(const std::string& name) const {
    return *std::find_if(plan_->tensors.begin(), plan_->tensors.end(),
                         [&](const FakeTensor& tensor) { return tensor.name == name; });
  }
  const std::unique_ptr<Plan> plan_;
};

class Engine : public ICudaEngine {
 public:
  explicit Engine(std::unique_ptr<Plan> plan) : impl_(std::move(plan)) { mImpl = &impl_; }

 private:
  EngineImpl impl_;
};

class RuntimeImpl : public apiv::StubRuntime, Counted {
 public:
#if NV_TENSORRT_MAJOR >= 10
  ICudaEngine* deserializeCudaEngine(const void* blob, size_t size) noexcept override {
#else
  ICudaEngine* deserializeCudaEngine(const void* blob, size_t size,
                                     IPluginFactory*) noexcept override {
#endif
    auto plan = parse({static_cast<const char*>(blob), size});
    if (plan == nullptr) {
      complain("Serialization assertion magicTag failed: Magic tag does not match");
      return nullptr;
    }
    if (plan->failing.contains("deserializeCudaEngine")) {
      complain(plan->words);
      return nullptr;
    }
    if (plan->failing.contains("hostCode") && !host_code_) {
      complain("the plan has host code, which is not allowed");
      return nullptr;
    }
    return std::make_unique<Engine>(std::move(plan)).release();
  }
  void setEngineHostCodeAllowed(bool allowed) noexcept override { host_code_ = allowed; }

 private:
  bool host_code_ = false;
};

class Runtime : public IRuntime {
 public:
  Runtime() { mImpl = &impl_; }

 private:
  RuntimeImpl impl_;
};

int32_t own_version() {
  const char* const asked = std::getenv("FRAMEBUS_FAKE_TENSORRT");
  if (asked != nullptr && std::strncmp(asked, "version=", 8) == 0) return std::atoi(asked + 8);
  return static_cast<int32_t>(NV_TENSORRT_VERSION);
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

void* createInferRuntime_INTERNAL(void* logger, int32_t version) noexcept {
  the_logger = static_cast<ILogger*>(logger);
  if (version != static_cast<int32_t>(NV_TENSORRT_VERSION)) return nullptr;
  return static_cast<IRuntime*>(std::make_unique<Runtime>().release());
}

int32_t getInferLibVersion() noexcept { return own_version(); }

// Runtimes, engines, contexts and inspectors that were not deleted.
unsigned fake_tensorrt_alive();
unsigned fake_tensorrt_alive() { return alive; }

}  // extern "C"
#pragma GCC visibility pop
