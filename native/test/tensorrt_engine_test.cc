// The TensorRT engine, through the host's side of the ABI, on a libnvinfer and a libcuda
// that need no GPU (test/tensorrt/fake_libnvinfer.cc); nothing here has seen a real one.
#include <cstdio>

#include "check.h"

#ifdef FRAMEBUS_TENSORRT_ENGINE

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include "core/cuda_device.h"
#include "core/engine_plugin.h"
#include "core/error.h"

namespace framebus::test {
namespace {

// What the fakes still have: nothing when all is given back.
struct Alive {
  unsigned objects = 0;
  unsigned ranges = 0;
  unsigned streams = 0;
  unsigned contexts = 0;
  bool operator==(const Alive&) const = default;
};

template <class Function>
Function symbol(const char* name) {
  const auto found = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
  if (found == nullptr) throw std::runtime_error(name);
  return found;
}

Alive alive() {
  Alive found;
  unsigned handles = 0;
  symbol<void (*)(unsigned*, unsigned*, unsigned*, unsigned*)>("fake_cuda_live")(
      &handles, &found.ranges, &found.streams, &found.contexts);
  found.objects = symbol<unsigned (*)()>("fake_tensorrt_alive")();
  return found;
}

std::shared_ptr<const EngineLibrary> library() {
  static const auto loaded = EngineLibrary::open(FRAMEBUS_TENSORRT_ENGINE);
  return loaded;
}

// A plan and its sidecar in a folder of their own.
class PlanFile {
 public:
  explicit PlanFile(const std::string& lines) : plan_("fake-plan\n" + lines) {
    std::string pattern = std::filesystem::temp_directory_path() / "framebus-plan-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = pattern;
    const fb_platform here = library()->probe(0);
    version = here.version;
    capability = here.architecture;
  }
  ~PlanFile() { std::filesystem::remove_all(folder_); }
  PlanFile(const PlanFile&) = delete;
  PlanFile& operator=(const PlanFile&) = delete;

  std::string path() const { return folder_ / "m.plan"; }

  std::unique_ptr<PluginEngine> load(uint32_t max_batch = 1, int32_t device = 0) const {
    write(path(), plan_);
    if (sidecar.empty()) {
      write(path() + ".json",
            "{\"format\": 1, \"tensorrt\": \"" + version + "\", \"compute_capability\": \"" +
                capability + "\", \"gpu\": \"Built \\u0041\", \"precision\": \"fp16\", " +
                "\"plan_bytes\": " + std::to_string(plan_.size() + more_bytes) +
                ", \"version_compatible\": " + (compatible ? "true" : "false") + "}\n");
    } else if (sidecar != "none") {
      write(path() + ".json", sidecar);
    }
    return std::make_unique<PluginEngine>(library(), EngineOptions{path(), device, 1, max_batch});
  }

  std::string version;
  std::string capability;
  std::string sidecar;
  size_t more_bytes = 0;
  bool compatible = false;

 private:
  static void write(const std::string& file, const std::string& text) {
    std::ofstream(file, std::ios::binary) << text;
  }

  const std::string plan_;
  std::filesystem::path folder_;
};

constexpr const char* kDynamic =
    "input images f32 -1,1,2,2 1,1,2,2 2,1,2,2 4,1,2,2\n"
    "output sums f32 -1\n"
    "output found f32 -1,2\n"
    "output ids i64 -1,2\n";

fb_tensor tensor(const char* name, std::vector<float>& data, std::vector<int64_t> dims) {
  fb_tensor made{};
  made.name = name;
  made.data = data.data();
  made.bytes = data.size() * sizeof(float);
  for (const int64_t length : dims) made.dims[made.rank++] = length;
  made.type = FB_FLOAT32;
  made.memory = FB_HOST;
  return made;
}

// A batch whose picture i holds `levels[i]`, 0, 0, 1.
std::vector<float> batch(const std::vector<float>& levels) {
  std::vector<float> data;
  for (const float level : levels) data.insert(data.end(), {level, 0, 0, 1});
  return data;
}

// Not inlined: GCC 12 would warn of vectors that are freed wrongly, and are not.
[[gnu::noinline]] std::vector<float> floats(const fb_tensor& output) {
  const auto* const data = static_cast<const float*>(output.data);
  return {data, data + output.bytes / sizeof(float)};
}

// "CODE: message" of what is thrown.
template <class Action>
std::string refusal(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return std::string(error.code()) + ": " + error.what();
  }
  return "nothing thrown";
}

void say(const std::string& text) { std::printf("%s\n", text.c_str()); }

bool has(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return true;
  std::printf("# \"%s\" is not in \"%s\"\n", part.c_str(), text.c_str());
  return false;
}

TEST("the platform: TensorRT's version, the GPU, its compute capability") {
  const fb_platform here = library()->probe(0);
  CHECK(std::string(here.engine) == "tensorrt");
  CHECK(std::string(here.device) == "Fake GPU");
  CHECK(std::string(here.architecture) == "9.0");
  CHECK(std::string(here.version) == FRAMEBUS_TENSORRT_VERSION);
  CHECK(has(refusal([] { library()->probe(3); }), "ENGINE_MISSING: "));
}

TEST("a plan describes itself") {
  const PlanFile plan(std::string(kDynamic) + "layers \"Format/Datatype\": \"Half\"\n");
  const auto engine = plan.load(4);
  const fb_description& d = engine->description();
  CHECK(std::string(d.engine) == "tensorrt");
  CHECK(std::string(d.device) == "Fake GPU");
  CHECK(std::string(d.precision) == "fp16");
  CHECK(d.min_batch == 1 && d.opt_batch == 2 && d.max_batch == 4);
  CHECK(d.memory == FB_CUDA);
  CHECK(d.input_count == 1 && d.output_count == 3);
  CHECK(std::string(d.inputs[0].name) == "images");
  CHECK(d.inputs[0].rank == 4 && d.inputs[0].dims[0] == -1 && d.inputs[0].dims[3] == 2);
  CHECK(d.outputs[1].dims[0] == -1 && d.outputs[1].dims[1] == 2);
  // TensorRT 8 makes int32 of int64.
  const bool wide = std::atoi(d.version) >= 10;
  CHECK(d.outputs[2].type == (wide ? FB_INT64 : FB_INT32));
}

TEST("batches of every size, an output that TensorRT allocates, numbers of 64 bits") {
  const PlanFile plan(kDynamic);
  const auto engine = plan.load(4);
  CHECK(engine->description().precision == nullptr);
  for (const std::vector<float>& levels :
       std::vector<std::vector<float>>{{0.25F}, {2, 0.25F, 3, 0}, {5, 7}, {0, 0, 0}, {0.75F}}) {
    std::vector<float> data = batch(levels);
    const auto size = static_cast<int64_t>(levels.size());
    const fb_tensor input = tensor("images", data, {size, 1, 2, 2});
    const auto outputs = engine->run({&input, 1}, nullptr);
    CHECK(outputs.size() == 3);
    std::vector<float> sums;
    std::vector<float> found;
    for (size_t i = 0; i < levels.size(); ++i) {
      sums.push_back(levels[i] + 1);
      if (levels[i] > 0.5F) found.insert(found.end(), {static_cast<float>(i), levels[i]});
      found.insert(found.end(), {static_cast<float>(i), 1});
    }
    CHECK(outputs[0].dims[0] == size && floats(outputs[0]) == sums);
    CHECK(outputs[1].dims[0] == static_cast<int64_t>(found.size() / 2));
    CHECK(floats(outputs[1]) == found);
    const size_t width = outputs[2].type == FB_INT64 ? 8 : 4;
    CHECK(outputs[2].bytes == static_cast<uint64_t>(size) * 2 * width);
    for (int64_t i = 0; i < size * 2; ++i) {
      int64_t id = 0;  // Little endian: the lower half of it.
      std::memcpy(&id, static_cast<const char*>(outputs[2].data) + i * static_cast<int64_t>(width),
                  width);
      CHECK(id == i / 2 * 10 + i % 2);
    }
  }
}

TEST("inputs on the GPU are read where they lie, on the stream that writes them") {
  const PlanFile plan(kDynamic);
  const auto engine = plan.load(4);
  const auto device = cuda::CudaDevice::first();
  const cuda::CurrentContext current(device->context());
  const cuda::OwnStream stream(device);
  std::vector<float> data = batch({3, 0});
  cuda::Address address = 0;
  const size_t bytes = data.size() * sizeof(float);
  cuda::check(cuda::driver().memory_alloc(&address, bytes), "test", "cuMemAlloc");
  cuda::check(cuda::driver().copy_to_device(address, data.data(), bytes, stream.get()), "test",
              "copy");
  fb_tensor input = tensor("images", data, {2, 1, 2, 2});
  input.data = reinterpret_cast<void*>(address);
  input.memory = FB_CUDA;
  const std::vector<float> on_gpu{4, 1};
  const std::vector<float> on_host{10, 1};
  CHECK(floats(engine->run({&input, 1}, stream.get())[0]) == on_gpu);
  // And by the host again.
  input.data = data.data();
  input.memory = FB_HOST;
  data[0] = 9;
  CHECK(floats(engine->run({&input, 1}, nullptr)[0]) == on_host);
  cuda::driver().memory_free(address);
}

TEST("nothing is found: an output without numbers") {
  const PlanFile plan(kDynamic);
  const auto engine = plan.load(4);
  std::vector<float> data(4, 0);
  const fb_tensor input = tensor("images", data, {1, 1, 2, 2});
  const auto outputs = engine->run({&input, 1}, nullptr);
  CHECK(outputs[1].dims[0] == 0 && outputs[1].dims[1] == 2 && outputs[1].bytes == 0);
}

TEST("a plan of fixed batch, and the profile that takes the batch") {
  const PlanFile fixed("input images f32 2,1,2,2\noutput sums f32 2\n");
  const auto engine = fixed.load(2);
  CHECK(engine->description().max_batch == 2);
  std::vector<float> data = batch({1, 2});
  const fb_tensor input = tensor("images", data, {2, 1, 2, 2});
  CHECK((floats(engine->run({&input, 1}, nullptr)[0]) == std::vector<float>{2, 3}));
  CHECK(has(refusal([&] { fixed.load(3); }), "MODEL_SHAPE: "));

  const std::string shapes = " 1,1,2,2 1,1,2,2 2,1,2,2  1,1,2,2 4,1,2,2 8,1,2,2\n";
  const PlanFile two("profiles 2\ninput images f32 -1,1,2,2" + shapes + "output sums f32 -1\n");
  CHECK(two.load(2)->description().max_batch == 2);
  const auto large = two.load(5);
  CHECK(large->description().max_batch == 8 && large->description().opt_batch == 4);
  std::vector<float> many = batch(std::vector<float>(7, 1));
  const fb_tensor seven = tensor("images", many, {7, 1, 2, 2});
  CHECK(floats(large->run({&seven, 1}, nullptr)[0]) == std::vector<float>(7, 2));
}

TEST("further inputs, each by its name") {
  const PlanFile plan("input images f32 1,1,2,2\ninput scale f32 1,2\noutput sums f32 1\n");
  const auto engine = plan.load();
  std::vector<float> data = batch({4});
  std::vector<float> scale{1, 2};
  const fb_tensor images = tensor("images", data, {1, 1, 2, 2});
  const std::vector<fb_tensor> inputs{tensor("scale", scale, {1, 2}), images};
  CHECK(floats(engine->run(inputs, nullptr)[0]) == std::vector<float>{5});
  CHECK(has(refusal([&] { engine->run({&images, 1}, nullptr); }), "it has 2 inputs, given are 1"));
}

TEST("inputs that do not fit are refused, and the engine goes on") {
  const PlanFile plan(kDynamic);
  const auto engine = plan.load(4);
  std::vector<float> data(20, 1);
  const auto run = [&](const fb_tensor& input) {
    return refusal([&] { engine->run({&input, 1}, nullptr); });
  };
  CHECK(has(run(tensor("images", data, {5, 1, 2, 2})),
            "input \"images\": it takes [1 to 4, 1, 2, 2], given is [5, 1, 2, 2]"));
  CHECK(has(run(tensor("images", data, {5, 2, 2})), "MODEL_SHAPE: "));
  CHECK(has(run(tensor("picture", data, {1, 1, 2, 2})), "it has no input \"picture\""));
  fb_tensor input = tensor("images", data, {4, 1, 2, 2});
  CHECK(has(run(input), "wrong number of bytes"));
  input.bytes = 64;
  input.type = FB_INT32;
  CHECK(has(run(input), "of another type"));
  input.type = FB_FLOAT32;
  input.memory = FB_CUDA;
  input.data = reinterpret_cast<void*>(0x1010);
  CHECK(has(run(input), "not aligned to 256 bytes"));
  input.memory = FB_HOST;
  input.data = data.data();
  CHECK(run(input) == "nothing thrown");
}

TEST("every call of TensorRT that fails is an error with its words") {
  for (const char* const call : {"deserializeCudaEngine", "createExecutionContext"}) {
    const PlanFile plan(std::string(kDynamic) + "fail " + call + "\nwords no luck\n");
    CHECK(has(refusal([&] { plan.load(4); }), "no luck"));
  }
  const PlanFile profiles(
      "profiles 2\ninput images f32 -1,1,2,2 1,1,2,2 1,1,2,2 2,1,2,2 1,1,2,2 "
      "4,1,2,2 8,1,2,2\noutput sums f32 -1\nfail setOptimizationProfileAsync\n");
  CHECK(has(refusal([&] { profiles.load(8); }), "setOptimizationProfileAsync: failed on purpose"));
  for (const char* const call :
       {"setInputShape", "allInputDimensionsSpecified", "getTensorShape", "setTensorAddress",
        "setOutputAllocator", "enqueueV3", "notifyShape"}) {
    const PlanFile plan(std::string(kDynamic) + "fail " + call + "\n");
    const auto engine = plan.load(4);
    std::vector<float> data = batch({1});
    const fb_tensor input = tensor("images", data, {1, 1, 2, 2});
    for (int again = 0; again < 2; ++again) {
      const std::string text = refusal([&] { engine->run({&input, 1}, nullptr); });
      CHECK(has(text, std::string(call) + ": failed on purpose"));
      CHECK(has(text, "ENGINE_FAILED: "));
    }
  }
}

TEST("what TensorRT says of a plan becomes the right code") {
  const auto code = [](const std::string& words) {
    const PlanFile plan(std::string(kDynamic) + "fail deserializeCudaEngine\nwords " + words +
                        "\n");
    const std::string text = refusal([&] { plan.load(4); });
    CHECK(has(text, words));
    return text.substr(0, text.find(':'));
  };
  CHECK(code("The engine plan file is generated on an incompatible device, expecting compute 8.6 "
             "got compute 9.0") == "ENGINE_DEVICE");
  CHECK(code("The engine plan file is not compatible with this version of TensorRT, expecting "
             "library version 10.3.0 got 10.1.0") == "ENGINE_VERSION");
  CHECK(code("Serialization assertion stdVersionRead == kSERIALIZATION_VERSION failed.") ==
        "ENGINE_VERSION");
  CHECK(code("Error Code 2: OutOfMemory") == "ENGINE_MEMORY");
  CHECK(code("something else") == "ENGINE_FAILED");
}

TEST("the sidecar is compared before anything is loaded") {
  PlanFile plan(std::string(kDynamic) + "fail deserializeCudaEngine\n");
  const std::string here = plan.version;
  plan.version = "7.1.0";
  CHECK(has(refusal([&] { plan.load(); }), "ENGINE_VERSION: engine " FRAMEBUS_TENSORRT_ENGINE ": " +
                                               plan.path() +
                                               ": built for TensorRT 7.1.0, this is " + here));
  plan.version = here;
  plan.capability = "8.6";
  CHECK(has(refusal([&] { plan.load(); }),
            "built for compute capability 8.6 (Built ?), this is 9.0 (Fake GPU)"));
  CHECK(has(refusal([&] { plan.load(); }), "ENGINE_DEVICE: "));
  plan.capability = "9.0";
  plan.more_bytes = 1;
  CHECK(has(refusal([&] { plan.load(); }), "ENGINE_DAMAGED: "));
  plan.more_bytes = 0;
  CHECK(has(refusal([&] { plan.load(); }), "failed on purpose"));
  plan.sidecar = "none";
  std::filesystem::remove(plan.path() + ".json");
  CHECK(has(refusal([&] { plan.load(); }), "m.plan.json: cannot be read"));
  for (const char* const bad :
       {"", "{", "[]", "{\"format\": 1", "{\"format\": 1} 2", "{\"format\": {}}", "{\"format\": 2}",
        "{\"format\": 1, \"format\": 1}", "{\"format\": 1, \"tensorrt\": \"1", "{\"format\" 1}",
        "{\"format\": 1, \"tensorrt\": \"a\\q\"}", "{\"format\": nul}"}) {
    plan.sidecar = bad[0] == '\0' ? " " : bad;
    CHECK(has(refusal([&] { plan.load(); }), "ENGINE_DAMAGED: "));
  }
}

TEST("a version-compatible plan runs on a newer TensorRT, with its host code") {
  PlanFile plan("input images f32 1,1,2,2\noutput sums f32 1\nfail hostCode\n");
  CHECK(has(refusal([&] { plan.load(); }), "host code, which is not allowed"));
  plan.compatible = true;
  plan.load();
  const std::string here = plan.version;
  plan.version = here.substr(0, here.find('.')) + ".0.0";
  plan.load();
  plan.version = "99.0.0";
  CHECK(has(refusal([&] { plan.load(); }), "ENGINE_VERSION: "));
  plan.version = here.substr(0, here.find('.')) + ".99.0";
  CHECK(has(refusal([&] { plan.load(); }), "ENGINE_VERSION: "));
}

TEST("plans that the engine cannot serve are refused when they are loaded") {
  const auto load = [](const std::string& lines) {
    const PlanFile plan(lines);
    return refusal([&] { plan.load(); });
  };
  CHECK(has(load("input images fp8 1,4\noutput sums f32 1\n"), "of a type that framebus"));
  CHECK(has(load("input images f32 1,4 chw32\noutput sums f32 1\n"), "not row by row"));
  CHECK(has(refusal([] {
              PlanFile plan(kDynamic);
              plan.load(4);
              std::filesystem::resize_file(plan.path(), 4);
              PluginEngine(library(), {plan.path(), 0, 1, 1});
            }),
            "ENGINE_DAMAGED: "));
}

// The library is loaded once in a process: what it says with another version is asked in another
// one.
std::string probe_with_version(const std::string& version) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  const std::string command = "FRAMEBUS_FAKE_TENSORRT=version=" + version + " '" + self + "' probe";
  FILE* const pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen");
  std::string text(4096, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), pipe));
  ::pclose(pipe);
  return text;
}

TEST("a libnvinfer that the headers do not fit is refused") {
  const std::string headers = FRAMEBUS_TENSORRT_VERSION;
  CHECK(has(probe_with_version("7203"), "ENGINE_MISSING: "));
  CHECK(has(probe_with_version("7203"),
            " is 7.2.3, this engine was built with the headers of " + headers));
  CHECK(has(probe_with_version("990100"), " is 99.1.0, "));
  const int major = std::atoi(headers.c_str());
  const std::string newer = major >= 10 ? std::to_string(major) + "9901" : "8999";
  CHECK(has(probe_with_version(newer), major >= 10 ? std::to_string(major) + ".99.1" : "8.9.99"));
  CHECK(probe_with_version(newer).find("ENGINE_MISSING") == std::string::npos);
}

TEST("everything is given back") {
  CHECK((alive() == Alive{}));
  {
    const PlanFile plan(kDynamic);
    const auto engine = plan.load(4);
    std::vector<float> data = batch({1, 2});
    const fb_tensor input = tensor("images", data, {2, 1, 2, 2});
    engine->run({&input, 1}, nullptr);
    CHECK(alive().objects > 0 && alive().ranges > 0 && alive().streams == 1);
  }
  CHECK((alive() == Alive{}));
}

}  // namespace
}  // namespace framebus::test

int main(int count, char**) {
  for (const char* const fake : {FRAMEBUS_FAKE_LIBCUDA, FRAMEBUS_FAKE_LIBNVINFER}) {
    if (dlopen(fake, RTLD_NOW | RTLD_GLOBAL) == nullptr) {
      std::printf("%s\n", dlerror());
      return 1;
    }
  }
  using namespace framebus;
  if (count > 1) {
    const auto probe = [] { test::say(test::library()->probe(0).version); };
    test::say(test::refusal(probe));
    return 0;
  }
  return test::run_all();
}

#else

TEST("skipped: TensorRT's headers are not here (FRAMEBUS_TENSORRT_INCLUDE)") {
  std::printf("# skipped: the TensorRT engine is not built without NvInfer.h\n");
}

int main() { return framebus::test::run_all(); }

#endif
