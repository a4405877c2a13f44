// PluginEngine, openEngine and probeEngine of contract.ts.
#include <napi.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "async.h"
#include "convert.h"
#include "core/engine_pictures.h"
#include "core/engine_plugin.h"
#include "module.h"
#include "preprocess.h"

namespace framebus::binding {
namespace {

struct TypeName {
  int32_t type;
  const char* name;
  napi_typedarray_type array;
};
constexpr std::array kTypes{TypeName{FB_FLOAT32, "float32", napi_float32_array},
                            TypeName{FB_FLOAT16, "float16", napi_uint16_array},
                            TypeName{FB_FLOAT64, "float64", napi_float64_array},
                            TypeName{FB_INT8, "int8", napi_int8_array},
                            TypeName{FB_UINT8, "uint8", napi_uint8_array},
                            TypeName{FB_INT16, "int16", napi_int16_array},
                            TypeName{FB_UINT16, "uint16", napi_uint16_array},
                            TypeName{FB_INT32, "int32", napi_int32_array},
                            TypeName{FB_UINT32, "uint32", napi_uint32_array},
                            TypeName{FB_INT64, "int64", napi_bigint64_array},
                            TypeName{FB_UINT64, "uint64", napi_biguint64_array},
                            TypeName{FB_BOOL, "bool", napi_uint8_array}};

const TypeName& type_of(int32_t type) {
  for (const TypeName& each : kTypes) {
    if (each.type == type) return each;
  }
  throw Error("ENGINE_FAILED", "engine: type " + std::to_string(type) + " is not known");
}

Napi::Array dims_to_js(Napi::Env env, const int64_t* dims, uint32_t rank) {
  Napi::Array array = Napi::Array::New(env, rank);
  for (uint32_t i = 0; i < rank; ++i) array.Set(i, static_cast<double>(dims[i]));
  return array;
}

Napi::Array infos_to_js(Napi::Env env, const fb_tensor_info* infos, uint32_t count) {
  Napi::Array array = Napi::Array::New(env, count);
  for (uint32_t i = 0; i < count; ++i) {
    Napi::Object info = Napi::Object::New(env);
    info.Set("name", infos[i].name);
    info.Set("type", type_of(infos[i].type).name);
    info.Set("dims", dims_to_js(env, infos[i].dims, infos[i].rank));
    array.Set(i, info);
  }
  return array;
}

Napi::Value typed_array(Napi::Env env, napi_typedarray_type type, size_t length,
                        const Napi::ArrayBuffer& buffer) {
  napi_value made = nullptr;
  if (napi_create_typedarray(env, type, length, buffer, 0, &made) != napi_ok) {
    throw Napi::Error::New(env);
  }
  return Napi::Value(env, made);
}

// Tensors of JavaScript, borrowed for one call.
struct TensorArguments {
  std::vector<std::string> names;  // Reserved before: `tensors` points to them.
  std::vector<fb_tensor> tensors;
};

fb_tensor tensor_from_js(const Fields& fields, const std::string& name) {
  const std::string type = fields.string("type");
  fb_tensor tensor{};
  napi_typedarray_type wanted = napi_uint8_array;
  for (const TypeName& each : kTypes) {
    if (type != each.name) continue;
    tensor.type = each.type;
    wanted = each.array;
  }
  if (tensor.type == 0) fields.fail("type", "type of numbers");
  const std::vector<double> dims = fields.numbers("dims");
  if (dims.size() > FB_ENGINE_MAX_RANK) fields.fail("dims", "at most 8 dimensions");
  for (const double length : dims) {
    if (!(length >= 0 && length <= 4294967295.0)) fields.fail("dims", "whole numbers");
    tensor.dims[tensor.rank++] = static_cast<int64_t>(length);
  }
  const Napi::Value data = fields.value("data");
  if (!data.IsTypedArray() || data.As<Napi::TypedArray>().TypedArrayType() != wanted) {
    fields.fail("data", "typed array for " + type);
  }
  const auto array = data.As<Napi::TypedArray>();
  tensor.name = name.c_str();
  tensor.memory = FB_HOST;
  tensor.bytes = engine_tensor_bytes(tensor);
  if (array.ByteLength() != tensor.bytes) {
    fields.fail("data", std::to_string(tensor.bytes) + " bytes, as dims say");
  }
  tensor.data = static_cast<uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset();
  return tensor;
}

TensorArguments tensors_argument(const Napi::CallbackInfo& info, size_t index, const char* path) {
  if (!info[index].IsArray()) {
    throw make_error(info.Env(), "BAD_ARGUMENT", std::string("Expected array for ") + path);
  }
  const auto array = info[index].As<Napi::Array>();
  TensorArguments out;
  out.names.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Fields fields(array.Get(i), std::string(path) + "[" + std::to_string(i) + "]");
    out.names.push_back(fields.string("name"));
    out.tensors.push_back(tensor_from_js(fields, out.names.back()));
  }
  return out;
}

struct EngineArguments {
  std::unique_ptr<PluginEngine> engine;
  int32_t device = 0;
};

class PluginEngineWrap : public Napi::ObjectWrap<PluginEngineWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "PluginEngine",
                       {InstanceMethod<&PluginEngineWrap::describe>("describe"),
                        InstanceMethod<&PluginEngineWrap::prepare_pictures>("preparePictures"),
                        InstanceMethod<&PluginEngineWrap::preprocess>("preprocess"),
                        InstanceMethod<&PluginEngineWrap::run>("run"),
                        InstanceMethod<&PluginEngineWrap::run_tensors>("runTensors"),
                        InstanceMethod<&PluginEngineWrap::close>("close")});
  }
  explicit PluginEngineWrap(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<PluginEngineWrap>(info) {
    auto arguments = take_arguments<EngineArguments>(info);
    engine_ = std::move(arguments.engine);
    device_ = arguments.device;
  }

 private:
  // An output's memory as JavaScript sees it; the same object while it stays in place.
  struct OutputBuffer {
    void* data = nullptr;
    size_t bytes = 0;
    Napi::Reference<Napi::ArrayBuffer> buffer;
  };

  PluginEngine& engine(Napi::Env env) const {
    if (engine_ == nullptr) throw make_error(env, "BAD_ARGUMENT", "engine: it is closed");
    return *engine_;
  }
  EnginePictures& pictures(Napi::Env env) const {
    if (pictures_ == nullptr) {
      throw make_error(env, "BAD_ARGUMENT", "engine: preparePictures() comes first");
    }
    return *pictures_;
  }

  Napi::Value describe(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const fb_description& d = engine(env).description();
    Napi::Object object = Napi::Object::New(env);
    object.Set("engine", d.engine);
    object.Set("version", d.version);
    object.Set("device", d.device);
    object.Set("precision", d.precision == nullptr
                                ? env.Null()
                                : Napi::Value(Napi::String::New(env, d.precision)));
    object.Set("memory", d.memory == FB_CUDA ? "cuda" : "host");
    object.Set("minBatch", d.min_batch);
    object.Set("optBatch", d.opt_batch);
    object.Set("maxBatch", d.max_batch);
    object.Set("inputs", infos_to_js(env, d.inputs, d.input_count));
    object.Set("outputs", infos_to_js(env, d.outputs, d.output_count));
    return object;
  }

  void prepare_pictures(const Napi::CallbackInfo& info) {
    const std::string input = string_argument(info, 0, "input");
    const uint32_t height = uint32_argument(info, 1, "height");
    const uint32_t width = uint32_argument(info, 2, "width");
    const std::string layout = string_argument(info, 3, "layout");
    const uint32_t most = uint32_argument(info, 4, "pictures");
    if (height < 1 || width < 1 || height > 16384 || width > 16384 || most < 1 || most > 1024) {
      throw make_error(info.Env(), "BAD_ARGUMENT", "engine: pictures of an impossible size");
    }
    const std::vector<int64_t> dims = layout == "nchw" ? std::vector<int64_t>{3, height, width}
                                                       : std::vector<int64_t>{height, width, 3};
    guarded(info.Env(), [&] {
      const fb_description& d = engine(info.Env()).description();
      pictures_ = std::make_unique<EnginePictures>(input, dims, most, d.memory, device_);
    });
  }

  Napi::Value preprocess(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    engine(env);
    const std::vector<LeasedPart> frames = frames_argument(info, 0);
    const PreprocessSpec spec = preprocess_spec_from_js(Fields(info, 1, "spec"));
    const std::vector<PreprocessGeometry> geometries =
        guarded(env, [&] { return pictures(env).preprocess(frames, spec); });
    Napi::Array result = Napi::Array::New(env, geometries.size());
    for (uint32_t i = 0; i < geometries.size(); ++i) {
      result.Set(i, geometry_to_js(env, geometries[i]));
    }
    return result;
  }

  Napi::Value run(const Napi::CallbackInfo& info) {
    const uint32_t batch = uint32_argument(info, 0, "batch");
    TensorArguments others =
        guarded(info.Env(), [&] { return tensors_argument(info, 1, "others"); });
    return guarded(info.Env(), [&] {
      EnginePictures& taken = pictures(info.Env());
      others.tensors.push_back(taken.tensor(batch));
      try {
        const Napi::Value outputs = run_all(info.Env(), others.tensors, taken.stream());
        taken.release_frames();
        return outputs;
      } catch (...) {
        taken.release_frames();
        throw;
      }
    });
  }

  Napi::Value run_tensors(const Napi::CallbackInfo& info) {
    const TensorArguments inputs =
        guarded(info.Env(), [&] { return tensors_argument(info, 0, "inputs"); });
    return guarded(info.Env(), [&] { return run_all(info.Env(), inputs.tensors, nullptr); });
  }

  Napi::Value run_all(Napi::Env env, std::span<const fb_tensor> inputs, void* stream) {
    const std::span<const fb_tensor> outputs = engine(env).run(inputs, stream);
    buffers_.resize(outputs.size());
    Napi::Array result = Napi::Array::New(env, outputs.size());
    for (uint32_t i = 0; i < outputs.size(); ++i) {
      const fb_tensor& output = outputs[i];
      const TypeName& type = type_of(output.type);
      Napi::Object object = Napi::Object::New(env);
      object.Set("name", output.name);
      object.Set("type", type.name);
      object.Set("dims", dims_to_js(env, output.dims, output.rank));
      object.Set("data", typed_array(env, type.array, output.bytes / engine_type_bytes(output.type),
                                     buffer_of(env, buffers_[i], output)));
      result.Set(i, object);
    }
    return result;
  }

  static Napi::ArrayBuffer buffer_of(Napi::Env env, OutputBuffer& known, const fb_tensor& output) {
    if (output.bytes == 0) return Napi::ArrayBuffer::New(env, 0);
    if (known.data != output.data || known.bytes < output.bytes) {
      detach(known);
      const Napi::ArrayBuffer made = Napi::ArrayBuffer::New(env, output.data, output.bytes);
      known.data = output.data;
      known.bytes = output.bytes;
      known.buffer = Napi::Persistent(made);
    }
    return known.buffer.Value();
  }

  static void detach(OutputBuffer& known) {
    if (known.buffer.IsEmpty()) return;
    Napi::ArrayBuffer buffer = known.buffer.Value();
    if (!buffer.IsDetached()) buffer.Detach();
    known.buffer.Reset();
  }

  void close(const Napi::CallbackInfo&) {
    // Outputs have length 0 from now on: their memory goes.
    for (OutputBuffer& each : buffers_) detach(each);
    buffers_.clear();
    pictures_.reset();
    engine_.reset();
  }

  std::unique_ptr<PluginEngine> engine_;  // Null once closed.
  int32_t device_ = 0;
  std::unique_ptr<EnginePictures> pictures_;
  std::vector<OutputBuffer> buffers_;
};

Napi::Value open_engine(const Napi::CallbackInfo& info) {
  const Fields fields(info, 0, "options");
  const std::string library = fields.string("library");
  const EngineOptions options{fields.string("model"), fields.int32("device"),
                              fields.uint32("threads"), fields.uint32("maxBatch")};
  return guarded(info.Env(), [&] {
    return new_instance<PluginEngineWrap>(
        info.Env(),
        EngineArguments{std::make_unique<PluginEngine>(EngineLibrary::open(library), options),
                        options.device});
  });
}

Napi::Value probe_engine(const Napi::CallbackInfo& info) {
  const std::string library = string_argument(info, 0, "library");
  const auto device = static_cast<int32_t>(uint32_argument(info, 1, "device") & 0x7fffffff);
  return run_async<fb_platform>(
      info.Env(), "framebus probeEngine",
      [library, device] { return EngineLibrary::open(library)->probe(device); },
      [](Napi::Env env, fb_platform& platform) -> Napi::Value {
        Napi::Object object = Napi::Object::New(env);
        object.Set("engine", platform.engine);
        object.Set("version", platform.version);
        object.Set("device", platform.device);
        object.Set("architecture", platform.architecture);
        return object;
      });
}

const Module kModule{[](Napi::Env env, Napi::Object exports) {
  register_class<PluginEngineWrap>(env, PluginEngineWrap::define(env));
  exports.Set("openEngine", Napi::Function::New(env, open_engine, "openEngine"));
  exports.Set("probeEngine", Napi::Function::New(env, probe_engine, "probeEngine"));
}};

}  // namespace
}  // namespace framebus::binding
