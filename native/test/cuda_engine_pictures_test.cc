// Pictures for an engine that wants them on the GPU: on a real one, or with a driver and a
// compiler of the tests' own.
#include <filesystem>
#include <memory>
#include <random>

#include "core/engine_pictures.h"
#include "core/pool_memory.h"
#include "cuda_rig.h"
#include "nvrtc_kit.h"

using namespace framebus;
using namespace framebus::test;

namespace {

Gpu gpu = Gpu::kNone;
constexpr uint32_t kSide = 12;
constexpr size_t kFloats = size_t{3} * kSide * kSide;

// A frame of noise on the GPU, or in host memory only.
class NoiseFrame : public Lease {
 public:
  NoiseFrame(bool on_gpu, uint32_t seed) {
    format_.width = 66;
    format_.height = 38;
    format_.pixel_format = PixelFormat::kNv12;
    layout_ = tight_layout(format_);
    std::mt19937 random(seed);
    for (uint32_t i = 0; i < layout_.slot_bytes; ++i) {
      bytes_.push_back(static_cast<uint8_t>(random()));
    }
    if (!on_gpu) return;
    memory_ = create_pool_memory(
        {.kind = MemoryKind::kCuda, .stream_id = "noise", .slots = 1, .slot_stride = 8192});
    memory_->write(0, view(bytes_.data()), layout_);
  }

  const FrameFormat& format() const override { return format_; }
  FrameRead read() const override { return FrameRead(view(bytes_.data())); }
  FrameView device() const override {
    if (memory_ == nullptr) return {};
    return view(reinterpret_cast<const uint8_t*>(memory_->device(0)));
  }
  bool valid() const override { return true; }

 private:
  FrameView view(const uint8_t* base) const { return view_of(format_, layout_, base); }

  FrameFormat format_;
  PlaneLayout layout_;
  std::vector<uint8_t> bytes_;
  std::unique_ptr<PoolMemory> memory_;
};

PreprocessSpec small_spec() {
  PreprocessSpec spec;
  spec.width = spec.height = kSide;
  spec.resize = Resize::kLetterbox;
  return spec;
}

std::vector<LeasedPart> two_parts(bool first_on_gpu) {
  return {{std::make_shared<NoiseFrame>(first_on_gpu, 1), std::nullopt},
          {std::make_shared<NoiseFrame>(true, 2), FrameRegion{11, 4, 31, 20}}};
}

std::unique_ptr<EnginePictures> make_pictures(int32_t memory) {
  return std::make_unique<EnginePictures>("images", std::vector<int64_t>{3, kSide, kSide}, 4,
                                          memory, 0);
}

// The pictures, wherever they lie.
std::vector<float> read(const EnginePictures& pictures, uint32_t batch) {
  const fb_tensor tensor = pictures.tensor(batch);
  std::vector<float> out(batch * kFloats);
  CHECK(tensor.bytes == out.size() * sizeof(float));
  if (tensor.memory == FB_HOST) {
    std::memcpy(out.data(), tensor.data, tensor.bytes);
    return out;
  }
  const auto device = cuda::CudaDevice::first();
  const cuda::CurrentContext current(device->context());
  const auto stream = static_cast<cuda::Stream>(pictures.stream());
  cuda::check(cuda::driver().copy_to_host(out.data(), reinterpret_cast<cuda::Address>(tensor.data),
                                          tensor.bytes, stream),
              "test", "copy");
  cuda::check(cuda::driver().stream_synchronize(stream), "test", "wait");
  return out;
}

// By the CPU, the geometries as well.
std::vector<float> expected(std::span<const LeasedPart> parts,
                            const std::vector<PreprocessGeometry>& geometries) {
  std::vector<float> out(parts.size() * kFloats);
  CHECK(geometries.size() == parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const PreprocessGeometry one =
        preprocess_part(parts[i], small_spec(), out.data() + i * kFloats);
    CHECK(one.scale_x == geometries[i].scale_x && one.scale_y == geometries[i].scale_y);
    CHECK(one.offset_x == geometries[i].offset_x && one.offset_y == geometries[i].offset_y);
  }
  return out;
}

// Within 1/255 of the largest level.
bool near(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!(std::abs(a[i] - b[i]) <= 1.0F)) return false;
  }
  return true;
}

bool works_here() {
  if (gpu != Gpu::kNone) return true;
  std::printf("# skipped: no GPU\n");
  return false;
}

TEST("frames on the GPU stay there, parts of them as well") {
  if (!works_here()) return;
  const auto pictures = make_pictures(FB_CUDA);
  CHECK(pictures->stream() == nullptr && pictures->tensor(1).memory == FB_HOST);
  std::vector<LeasedPart> parts = two_parts(true);
  const auto geometries = pictures->preprocess(parts, small_spec());
  CHECK(pictures->tensor(2).memory == FB_CUDA && pictures->stream() != nullptr);
  CHECK(reinterpret_cast<uintptr_t>(pictures->tensor(2).data) % 256 == 0);
  CHECK(near(read(*pictures, 2), expected(parts, geometries)));
  // Leased until the run is over.
  const std::weak_ptr<Lease> lease = parts[0].lease;
  parts.clear();
  CHECK(!lease.expired());
  pictures->release_frames();
  CHECK(lease.expired());
}

TEST("frames that were never run are let go of by the next ones") {
  if (!works_here()) return;
  const auto pictures = make_pictures(FB_CUDA);
  std::weak_ptr<Lease> lease;
  {
    const std::vector<LeasedPart> parts = two_parts(true);
    lease = parts[0].lease;
    pictures->preprocess(parts, small_spec());
  }
  CHECK(!lease.expired());
  const std::vector<LeasedPart> others = two_parts(true);
  const auto geometries = pictures->preprocess(others, small_spec());
  CHECK(lease.expired());
  CHECK(near(read(*pictures, 2), expected(others, geometries)));
}

TEST("one frame in host memory brings all there, and the next batch goes back") {
  if (!works_here()) return;
  const auto pictures = make_pictures(FB_CUDA);
  const std::vector<LeasedPart> mixed = two_parts(false);
  const auto geometries = pictures->preprocess(mixed, small_spec());
  CHECK(pictures->tensor(2).memory == FB_HOST && pictures->stream() == nullptr);
  CHECK(near(read(*pictures, 2), expected(mixed, geometries)));
  pictures->preprocess(two_parts(true), small_spec());
  CHECK(pictures->tensor(2).memory == FB_CUDA);
}

TEST("an engine that reads host memory gets it there") {
  if (!works_here()) return;
  const auto pictures = make_pictures(FB_HOST);
  const std::vector<LeasedPart> parts = two_parts(true);
  const auto geometries = pictures->preprocess(parts, small_spec());
  CHECK(pictures->tensor(2).memory == FB_HOST);
  CHECK(near(read(*pictures, 2), expected(parts, geometries)));
}

TEST("all of it is given back") {
  if (!works_here()) return;
  const Live before = live();
  {
    const auto pictures = make_pictures(FB_CUDA);
    pictures->preprocess(two_parts(true), small_spec());
    pictures->release_frames();  // Their pools have streams of their own.
    if (gpu == Gpu::kFake) CHECK(live().streams == before.streams + 1);
  }
  CHECK(live() == before);
}

}  // namespace

int main() {
  gpu = load_gpu();
  const Directory folder;
  const Setting cache("FRAMEBUS_CACHE", folder.path());
  if (gpu == Gpu::kFake) load_fake_nvrtc();
  const int code = run_all();
  std::filesystem::remove_all(folder.path() + "/kernels");
  return code;
}
