// Preprocessing on the GPU against preprocess(): on a real one, or with a driver and a
// compiler of the tests' own, which run the same kernel on the CPU.
#include "core/cuda_preprocess.h"

#include <filesystem>
#include <fstream>

#include "core/cuda_preprocess_kernel.h"
#include "cuda_noise.h"
#include "cuda_rig.h"
#include "error_code.h"
#include "nvrtc_kit.h"
#include "preprocess_variants.h"

using namespace framebus;
using namespace framebus::test;

namespace {

Gpu gpu = Gpu::kNone;

const cuda::Nvrtc& nvrtc() { return cuda::Nvrtc::of_process(); }

// A preprocessor of a test's own, with a cache of its own.
struct Rig {
  explicit Rig() : device(cuda::CudaDevice::first()) {}
  ~Rig() { std::filesystem::remove_all(folder.path() + "/kernels"); }
  cuda::KernelCache cache() const { return cuda::KernelCache(folder.path() + "/kernels"); }
  std::unique_ptr<CudaPreprocessor> make() const {
    return std::make_unique<CudaPreprocessor>(device, nvrtc(), cache());
  }
  Directory folder;
  std::shared_ptr<const cuda::CudaDevice> device;
};

// Worst difference to preprocess() over a batch, in levels.
double worst_of(CudaPreprocessor& preprocessor, std::span<const FrameView> on_device,
                std::span<const FrameView> on_host, const PreprocessSpec& spec) {
  std::vector<float> found(on_device.size() * tensor_size(spec));
  std::vector<float> wanted(tensor_size(spec));
  const auto geometries = preprocessor.to_host(on_device, spec, found.data());
  CHECK(geometries.size() == on_device.size());
  double worst = 0;
  for (size_t i = 0; i < on_host.size(); ++i) {
    const PreprocessGeometry geometry = preprocess(on_host[i], spec, wanted.data());
    CHECK(geometry.scale_x == geometries[i].scale_x && geometry.offset_y == geometries[i].offset_y);
    const std::span<const float> one(found.data() + i * tensor_size(spec), tensor_size(spec));
    worst = std::max(worst, worst_level(one, wanted, spec));
  }
  return worst;
}

}  // namespace

TEST("every variant of both formats") {
  const Rig rig;
  const auto preprocessor = rig.make();
  std::printf("# %s\n", preprocessor->description().c_str());
  std::mt19937 random(21);
  double worst = 0;
  for (const PixelFormat format : {PixelFormat::kNv12, PixelFormat::kI420}) {
    for (const auto& [w, h] : {std::pair{211U, 97U}, std::pair{13U, 7U}, std::pair{1U, 1U}}) {
      const NoisePool pool(w, h, format, 1, random);
      for (unsigned bits = 0; bits < kVariants; ++bits) {
        const FrameView device = pool.device(0, bits);
        const FrameView host = pool.host(0, bits);
        const PreprocessSpec spec = variant_spec(bits, 70, 61);
        worst = std::max(worst, worst_of(*preprocessor, {&device, 1}, {&host, 1}, spec));
      }
    }
  }
  std::printf("# worst difference: %.6f of a level\n", worst);
  CHECK(worst <= kPreprocessTolerance);
}

TEST("more frames than one launch takes, of different sizes, and parts of them") {
  const Rig rig;
  const auto preprocessor = rig.make();
  std::mt19937 random(22);
  std::vector<NoisePool> pools;
  std::vector<FrameView> device;
  std::vector<FrameView> host;
  for (uint32_t i = 0; i < 2 * kernel::kMostFrames + 5; ++i) {
    pools.emplace_back(60 + 3 * i, 50 + i, i % 2 == 0 ? PixelFormat::kNv12 : PixelFormat::kI420, 1,
                       random);
    const uint32_t left = 2 * (i % 9);
    const uint32_t top = 2 * (i % 7);
    device.push_back(part_of(pools[i].device(0), left, top, 40 + i % 5, 30 + i % 3));
    host.push_back(part_of(pools[i].host(0), left, top, 40 + i % 5, 30 + i % 3));
  }
  CHECK(worst_of(*preprocessor, device, host, variant_spec(1, 48, 40)) <= kPreprocessTolerance);
  CHECK(preprocessor->to_host({}, variant_spec(1, 48, 40), nullptr).empty());
}

TEST("real sizes") {
  const Rig rig;
  const auto preprocessor = rig.make();
  std::mt19937 random(23);
  const NoisePool pool(1920, 1080, PixelFormat::kNv12, 2, random);
  const std::array device{pool.device(0, 16), pool.device(1, 16)};
  const std::array host{pool.host(0, 16), pool.host(1, 16)};
  for (const uint32_t side : {640U, 300U})
    CHECK(worst_of(*preprocessor, device, host, variant_spec(17, side, side)) <=
          kPreprocessTolerance);
}

TEST("into a tensor of the caller's, on a stream of the caller's") {
  const Rig rig;
  const auto preprocessor = rig.make();
  std::mt19937 random(24);
  const NoisePool pool(100, 80, PixelFormat::kNv12, 3, random);
  const PreprocessSpec spec = variant_spec(5, 64, 48);
  const std::array device{pool.device(0), pool.device(1), pool.device(2)};
  const DeviceFloats tensor(*rig.device, 3 * tensor_size(spec));
  const cuda::OwnStream stream(rig.device);
  preprocessor->to_device(device, spec, tensor.address(), stream.get());
  std::vector<float> by_host(3 * tensor_size(spec));
  preprocessor->to_host(device, spec, by_host.data());
  CHECK(tensor.read(stream.get()) == by_host);
}

TEST("leased frames, from the pool to a device tensor") {
  const Setting cache("FRAMEBUS_CACHE", "");
  const Setting home("HOME", "");
  const Setting xdg("XDG_CACHE_HOME", "");
  const Directory folder;
  const auto server = BusServer::create(
      {.directory = folder.path(), .producer = "ingest-0", .allow_uids = {}, .allow_gids = {}},
      [](const auto&) {});
  const std::shared_ptr<FramePool> pool = FramePool::create(gpu_pool_options());
  server->add_pool(pool);
  const auto consumer = BusConsumer::create(
      {.directory = folder.path(), .name = "other", .group = "infer", .max_held = 8},
      [](const auto&) {});
  consumer->attach("ingest-0", pool->epoch());
  const uint32_t slot = pool->acquire().value();
  auto leased = consumer->lease(pool->epoch(), slot, publish(*pool, slot, 7));
  const auto lease = std::get<std::shared_ptr<SlotLease>>(leased);
  const PreprocessSpec spec = variant_spec(1, 96, 96);
  const auto device = cuda::CudaDevice::first();
  const DeviceFloats tensor(*device, tensor_size(spec));
  const cuda::OwnStream stream(device);
  const FrameView frame = lease->device();
  preprocess_to_device({&frame, 1}, spec, tensor.address(), stream.get());
  std::vector<float> wanted(tensor_size(spec));
  preprocess(lease->read().view(), spec, wanted.data());
  CHECK(worst_level(tensor.read(stream.get()), wanted, spec) <= kPreprocessTolerance);
  CHECK(probe_cuda_preprocess().available);
  server->close();
}

TEST("frames that lie elsewhere are refused") {
  const Rig rig;
  const auto preprocessor = rig.make();
  std::mt19937 random(25);
  const NoisePool pool(32, 32, PixelFormat::kNv12, 1, random);
  const NoisePool far(32, 32, PixelFormat::kNv12, 1, random);
  const PreprocessSpec spec = variant_spec(0, 16, 16);
  std::vector<float> tensor(2 * tensor_size(spec));
  std::string message;
  const std::array mixed{pool.device(0), pool.host(0)};
  const auto refused = [&](std::span<const FrameView> frames) {
    return code_of([&] { preprocessor->to_host(frames, spec, tensor.data()); }, &message);
  };
  CHECK(refused(mixed) == "CUDA_DEVICE");
  CHECK(message.find("no device memory") != std::string::npos);
  if (gpu == Gpu::kReal) return;  // There may be only one.
  using Move = void (*)(cuda::Address, cuda::Device);
  const auto move = reinterpret_cast<Move>(dlsym(RTLD_DEFAULT, "fake_cuda_move"));
  move(reinterpret_cast<cuda::Address>(far.device(0).data[0]), 1);
  const std::array two{pool.device(0), far.device(0)};
  CHECK(refused(two) == "CUDA_DEVICE");
  CHECK(message.find("a frame lies on GPU 1, not on GPU 0") != std::string::npos);
  move(reinterpret_cast<cuda::Address>(far.device(0).data[0]), 0);
  CHECK(refused(two).empty());
}

TEST("the kernel is compiled once, and again when its entry is damaged") {
  const Rig rig;
  const unsigned before = nvrtc_counts().compilations;
  const auto compiled = [&] { return nvrtc_counts().compilations - before; };
  std::printf("# %s\n", rig.make()->description().c_str());
  const auto second = rig.make();
  std::printf("# %s\n", second->description().c_str());
  CHECK(second->description().find(" from " + rig.cache().folder()) != std::string::npos);
  CHECK(gpu == Gpu::kReal || compiled() == 1);
  const auto entry = *std::filesystem::directory_iterator(rig.cache().folder());
  std::filesystem::resize_file(entry.path(), 100);
  CHECK(rig.make()->description().find(" compiled in ") != std::string::npos);
  CHECK(gpu == Gpu::kReal || compiled() == 2);
  CHECK(rig.make()->description().find(" from ") != std::string::npos);
}

TEST("an entry that is whole but that the driver refuses is compiled anew") {
  const Rig rig;
  rig.make();
  const auto entry = *std::filesystem::directory_iterator(rig.cache().folder());
  // Another source's key, with code that is none.
  const std::string name = entry.path().filename();
  const cuda::KernelCache cache = rig.cache();
  const cuda::KernelKey key{.name = "x", .source = "x", .capability = 1, .compiler = {}};
  CHECK(cache.store(key, "not code for any GPU"));
  std::filesystem::rename(cache.file(key), entry.path());
  CHECK(rig.make()->description().find(" compiled in ") != std::string::npos);
}

TEST("what the compiler refuses is said, and leaves nothing behind") {
  if (gpu == Gpu::kReal) return;
  const Rig rig;
  const Live before = live();
  const Setting broken("FRAMEBUS_FAKE_NVRTC", "fails");
  std::string message;
  CHECK(code_of([&] { rig.make(); }, &message) == "CUDA_COMPILE");
  CHECK(message.find("nothing that can be compiled") != std::string::npos);
  CHECK(live() == before);
}

TEST("everything is given back") {
  const Rig rig;
  const Live before = live();
  std::mt19937 random(26);
  for (int i = 0; i < 10; ++i) {
    const NoisePool pool(64, 64, PixelFormat::kNv12, 2, random);
    const auto preprocessor = rig.make();
    const std::array device{pool.device(0), pool.device(1)};
    std::vector<float> tensor(2 * 3 * 64 * 64);
    for (const uint32_t side : {16U, 64U, 32U})
      preprocessor->to_host(device, variant_spec(0, side, side), tensor.data());
  }
  CHECK(live() == before);
}

int main() {
  gpu = load_gpu();
  if (gpu == Gpu::kFake) {
    ::unsetenv("FRAMEBUS_NVRTC");
    load_fake_nvrtc();
  }
  return run_all();
}
