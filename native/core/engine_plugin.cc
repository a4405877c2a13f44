#include "engine_plugin.h"

#include <dlfcn.h>

#include <array>
#include <utility>

#include "error.h"

namespace framebus {
namespace {

constexpr size_t kErrorBytes = 4096;
constexpr uint64_t kMostBytes = uint64_t{1} << 48;
constexpr uint32_t kMostTensors = 256;

using ErrorText = std::array<char, kErrorBytes>;

[[noreturn]] void throw_status(int32_t status, const std::string& message) {
  switch (status) {
    case FB_MISSING:
      throw Error("ENGINE_MISSING", message);
    case FB_WRONG_VERSION:
      throw Error("ENGINE_VERSION", message);
    case FB_WRONG_DEVICE:
      throw Error("ENGINE_DEVICE", message);
    case FB_DAMAGED:
      throw Error("ENGINE_DAMAGED", message);
    case FB_WRONG_SHAPE:
      throw Error("MODEL_SHAPE", message);
    case FB_NO_MEMORY:
      throw Error("ENGINE_MEMORY", message);
    default:
      throw Error("ENGINE_FAILED", message);
  }
}

std::string text_or(const ErrorText& text, const char* otherwise) {
  return text.front() == '\0' ? otherwise : text.data();
}

bool is_complete(const fb_engine_api& api) {
  return api.probe != nullptr && api.create != nullptr && api.describe != nullptr &&
         api.enqueue != nullptr && api.collect != nullptr && api.destroy != nullptr;
}

bool is_known(const fb_tensor_info& info) {
  return info.name != nullptr && info.rank <= FB_ENGINE_MAX_RANK &&
         engine_type_bytes(info.type) > 0;
}

}  // namespace

std::shared_ptr<const EngineLibrary> EngineLibrary::open(const std::string& path) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const why = dlerror();
    throw Error("ENGINE_MISSING", "engine " + path + ": " + (why != nullptr ? why : "not there"));
  }
  const auto entry = reinterpret_cast<const fb_engine_api* (*)()>(dlsym(library, FB_ENGINE_ENTRY));
  if (entry == nullptr) {
    throw Error("ENGINE_MISSING", "engine " + path +
                                      ": it has no " FB_ENGINE_ENTRY
                                      "(); give a library that is an engine");
  }
  const fb_engine_api* const api = entry();
  const uint32_t version = api == nullptr ? 0 : api->abi_version;
  if (version != FB_ENGINE_ABI_VERSION) {
    throw Error("ENGINE_ABI", "engine " + path + ": it was built for version " +
                                  std::to_string(version) + " of framebus_engine.h, this is " +
                                  std::to_string(FB_ENGINE_ABI_VERSION));
  }
  if (api->struct_bytes < sizeof(fb_engine_api) || !is_complete(*api)) {
    throw Error("ENGINE_ABI", "engine " + path + ": it lacks functions of framebus_engine.h");
  }
  return std::make_shared<const EngineLibrary>(path, *api);
}

fb_platform EngineLibrary::probe(int32_t device) const {
  ErrorText error{};
  fb_platform platform{};
  const int32_t status = api_.probe(device, &platform, error.data(), error.size());
  if (status != FB_OK) throw_status(status, "engine " + path_ + ": " + text_or(error, "no probe"));
  // Whoever wrote them may have filled them to the end.
  platform.engine[sizeof(platform.engine) - 1] = '\0';
  platform.version[sizeof(platform.version) - 1] = '\0';
  platform.device[sizeof(platform.device) - 1] = '\0';
  platform.architecture[sizeof(platform.architecture) - 1] = '\0';
  return platform;
}

PluginEngine::PluginEngine(std::shared_ptr<const EngineLibrary> library,
                           const EngineOptions& options)
    : library_(std::move(library)), model_(options.model) {
  ErrorText error{};
  const fb_engine_options given{sizeof(fb_engine_options), options.device, options.threads,
                                options.max_batch, model_.c_str()};
  fb_engine* made = nullptr;
  const int32_t status = library_->api().create(&given, &made, error.data(), error.size());
  if (status != FB_OK) fail(status, error.data());
  if (made == nullptr) fail(FB_FAILED, "it says that it is loaded, and is not");
  engine_ = made;
  try {
    const int32_t described =
        library_->api().describe(engine_, &description_, error.data(), error.size());
    if (described != FB_OK) fail(described, error.data());
    check_description();
  } catch (...) {
    library_->api().destroy(engine_);
    throw;
  }
}

PluginEngine::~PluginEngine() { library_->api().destroy(engine_); }

void PluginEngine::fail(int32_t status, const char* text) const {
  const std::string why = text[0] == '\0' ? "it does not say why" : text;
  throw_status(status, "engine " + library_->path() + ": " + why);
}

void PluginEngine::check_description() const {
  const fb_description& d = description_;
  const bool texts = d.engine != nullptr && d.version != nullptr && d.device != nullptr;
  const bool tensors = d.inputs != nullptr && d.outputs != nullptr && d.input_count > 0 &&
                       d.output_count > 0 && d.input_count <= kMostTensors &&
                       d.output_count <= kMostTensors;
  bool known = texts && tensors && (d.memory == FB_HOST || d.memory == FB_CUDA);
  for (uint32_t i = 0; known && i < d.input_count; ++i) known = is_known(d.inputs[i]);
  for (uint32_t i = 0; known && i < d.output_count; ++i) known = is_known(d.outputs[i]);
  if (!known) fail(FB_FAILED, "its description of the model is not valid");
}

const fb_tensor_info* PluginEngine::input(const std::string& name) const {
  for (uint32_t i = 0; i < description_.input_count; ++i) {
    if (name == description_.inputs[i].name) return &description_.inputs[i];
  }
  return nullptr;
}

std::span<const fb_tensor> PluginEngine::run(std::span<const fb_tensor> inputs, void* stream) {
  ErrorText error{};
  const fb_engine_api& api = library_->api();
  const auto count = static_cast<uint32_t>(inputs.size());
  const int32_t started =
      api.enqueue(engine_, inputs.data(), count, stream, error.data(), error.size());
  if (started != FB_OK) fail(started, error.data());
  const fb_tensor* outputs = nullptr;
  uint32_t output_count = 0;
  const int32_t status = api.collect(engine_, &outputs, &output_count, error.data(), error.size());
  if (status != FB_OK) fail(status, error.data());
  if (output_count != description_.output_count || outputs == nullptr) {
    fail(FB_FAILED, "it returned another number of outputs than it described");
  }
  for (const fb_tensor& output : std::span(outputs, output_count)) {
    const bool valid = output.name != nullptr && output.memory == FB_HOST &&
                       output.rank <= FB_ENGINE_MAX_RANK && engine_type_bytes(output.type) > 0;
    if (!valid || engine_tensor_bytes(output) != output.bytes ||
        (output.bytes > 0 && output.data == nullptr)) {
      fail(FB_FAILED, "it returned an output that is not valid");
    }
  }
  return {outputs, output_count};
}

size_t engine_type_bytes(int32_t type) {
  switch (type) {
    case FB_INT8:
    case FB_UINT8:
    case FB_BOOL:
      return 1;
    case FB_FLOAT16:
    case FB_INT16:
    case FB_UINT16:
      return 2;
    case FB_FLOAT32:
    case FB_INT32:
    case FB_UINT32:
      return 4;
    case FB_FLOAT64:
    case FB_INT64:
    case FB_UINT64:
      return 8;
    default:
      return 0;
  }
}

uint64_t engine_tensor_bytes(const fb_tensor& tensor) {
  uint64_t bytes = engine_type_bytes(tensor.type);
  for (uint32_t i = 0; i < tensor.rank; ++i) {
    const auto length = static_cast<uint64_t>(tensor.dims[i]);
    if (tensor.dims[i] < 0 || (length > 0 && bytes > kMostBytes / length)) {
      throw Error("MODEL_SHAPE", std::string("tensor \"") + tensor.name + "\": dimension " +
                                     std::to_string(tensor.dims[i]) +
                                     " is negative, or the tensor too large");
    }
    bytes *= length;
  }
  return bytes;
}

}  // namespace framebus
