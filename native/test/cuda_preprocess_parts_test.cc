// Batches of leased frames of which some lie on the GPU: the tensor is the CPU's.
#include "core/cuda_preprocess.h"
#include "core/preprocess_parts.h"
#include "cuda_noise.h"
#include "cuda_rig.h"
#include "nvrtc_kit.h"

using namespace framebus;
using namespace framebus::test;

namespace {

// A lease on a frame of a NoisePool, which counts what the CPU reads.
class NoiseLease final : public Lease {
 public:
  NoiseLease(const NoisePool& pool, bool on_gpu)
      : host_(pool.host(0, 16)), device_(on_gpu ? pool.device(0, 16) : FrameView{}) {}
  const FrameFormat& format() const override { return host_.format; }
  FrameRead read() const override {
    ++reads_;
    return FrameRead(host_);
  }
  FrameView device() const override { return device_; }
  bool valid() const override { return true; }
  int reads() const { return reads_; }

 private:
  const FrameView host_;
  const FrameView device_;
  mutable int reads_ = 0;
};

// Two frames on the GPU, one in host memory, and another two on the GPU; whole and in part.
class Mixed {
 public:
  Mixed() {
    std::mt19937 random(31);
    const std::array<bool, 5> on_gpu{true, true, false, true, true};
    for (uint32_t i = 0; i < on_gpu.size(); ++i) {
      pools_.emplace_back(90 + 20 * i, 70 + 10 * i,
                          i == 3 ? PixelFormat::kI420 : PixelFormat::kNv12, 1, random);
      leases_.push_back(std::make_shared<NoiseLease>(pools_.back(), on_gpu[i]));
      parts_.push_back({leases_.back(), std::nullopt});
      parts_.push_back({leases_.back(), FrameRegion{11.5, 7.2, 40.4 + i, 33}});
    }
  }
  std::span<const LeasedPart> all() const { return parts_; }
  std::vector<int> reads() const {
    std::vector<int> counts;
    for (const auto& lease : leases_) counts.push_back(lease->reads());
    return counts;
  }

 private:
  std::vector<NoisePool> pools_;
  std::vector<std::shared_ptr<NoiseLease>> leases_;
  std::vector<LeasedPart> parts_;
};

// Whether the tensor and the geometries are those of one part after the other by the CPU.
bool as_by_cpu(std::span<const LeasedPart> parts, const PreprocessSpec& spec,
               std::span<const float> tensor, std::span<const PreprocessGeometry> geometries) {
  std::vector<float> wanted(tensor_size(spec));
  if (geometries.size() != parts.size()) return false;
  for (size_t i = 0; i < parts.size(); ++i) {
    const PreprocessGeometry geometry = preprocess_part(parts[i], spec, wanted.data());
    const PreprocessGeometry& found = geometries[i];
    if (geometry.scale_x != found.scale_x || geometry.scale_y != found.scale_y ||
        geometry.offset_x != found.offset_x || geometry.offset_y != found.offset_y ||
        worst_level(tensor.subspan(i * tensor_size(spec)), wanted, spec) > kPreprocessTolerance) {
      return false;
    }
  }
  return true;
}

// In another process, whose compiler is missing or broken.
int without_compiler() {
  const Mixed mixed;
  const PreprocessSpec spec = variant_spec(1, 48, 40);
  std::vector<float> tensor(mixed.all().size() * tensor_size(spec));
  const auto geometries = preprocess_parts(mixed.all(), spec, tensor.data());
  const bool by_cpu = mixed.reads() == std::vector<int>{2, 2, 2, 2, 2};
  const bool same = as_by_cpu(mixed.all(), spec, tensor, geometries);
  const CudaPreprocessProbe probe = probe_cuda_preprocess();
  say(std::string(by_cpu && same && !probe.available ? "by CPU: " : "wrong: ") + probe.detail);
  return 0;
}

// Keeps no kernels where the user has them.
const Setting no_cache("FRAMEBUS_CACHE", "/proc/nowhere");

}  // namespace

TEST("each frame is preprocessed where it lies") {
  const Mixed mixed;
  for (const unsigned bits : {0U, 1U, 15U, 64U + 5U}) {
    const std::vector<int> before = mixed.reads();
    const PreprocessSpec spec = variant_spec(bits, 48, 40);
    std::vector<float> tensor(mixed.all().size() * tensor_size(spec));
    const auto geometries = preprocess_parts(mixed.all(), spec, tensor.data());
    std::vector<int> expected = before;
    expected[2] += 2;
    CHECK(mixed.reads() == expected);
    CHECK(as_by_cpu(mixed.all(), spec, tensor, geometries));
  }
  CHECK(preprocess_parts({}, variant_spec(0, 8, 8), nullptr).empty());
}

TEST("without a compiler frames come to the CPU, and the probe says why") {
  Again missing({"without"}, {"FRAMEBUS_NVRTC=/nonexistent/libnvrtc.so"});
  const std::string said = missing.line();
  CHECK(said.starts_with("by CPU: CUDA compiler (libnvrtc): /nonexistent/libnvrtc.so"));
  CHECK(missing.wait() == 0);
  if (nvrtc_counts().compilations == 0) return;  // A real one does not fail.
  Again broken({"without"}, {"FRAMEBUS_FAKE_NVRTC=fails"});
  CHECK(broken.line().starts_with("by CPU: cuda_preprocess_kernel.cu for sm_90: NVRTC_ERROR"));
  CHECK(broken.wait() == 0);
}

int main(int argc, char**) {
  const bool fake = load_gpu() == Gpu::kFake;
  if (argc > 1) {
    if (fake && std::getenv("FRAMEBUS_NVRTC") == nullptr) load_fake_nvrtc();
    return without_compiler();
  }
  if (fake) {
    ::unsetenv("FRAMEBUS_NVRTC");
    load_fake_nvrtc();
  }
  return run_all();
}
