// The arithmetic of the GPU's kernel, which the C++ compiler has compiled here, against
// preprocess().
#include <random>
#include <vector>

#include "check.h"
#include "core/cuda_preprocess_batch.h"
#include "preprocess_variants.h"

namespace {

using namespace framebus;
using namespace framebus::test;

// A frame of noise whose planes have exactly the bytes they must have, so that ASan
// sees every byte too far.
struct Noise {
  FrameFormat format;
  std::array<std::vector<uint8_t>, kMaxPlanes> planes;
  std::array<uint32_t, kMaxPlanes> stride{};

  Noise(uint32_t width, uint32_t height, PixelFormat pixel_format, std::mt19937& random) {
    format.width = width;
    format.height = height;
    format.pixel_format = pixel_format;
    for (uint32_t p = 0; p < plane_count(pixel_format); ++p) {
      const uint32_t row = plane_row_bytes(format, p);
      stride[p] = row + static_cast<uint32_t>(random() % 40);
      planes[p] = std::vector<uint8_t>(size_t{stride[p]} * (plane_rows(format, p) - 1) + row);
      for (uint8_t& byte : planes[p]) byte = static_cast<uint8_t>(random());
    }
  }

  FrameView view(unsigned bits) const {
    FrameView view;
    view.format = format;
    variant_colors(bits, view.format);
    view.stride = stride;
    for (size_t p = 0; p < kMaxPlanes; ++p) view.data[p] = planes[p].data();
    return view;
  }
};

constexpr float kUntouched = -12345;
constexpr size_t kGuard = 64;

// The batch as the GPU would make it, pixel after pixel.
std::vector<float> by_kernel(std::span<const FrameView> frames, const PreprocessSpec& spec) {
  std::vector<float> tensor(frames.size() * tensor_size(spec) + 2 * kGuard, kUntouched);
  const kernel::Batch batch = preprocess_batch(frames, spec, tensor.data() + kGuard);
  for (size_t i = 0; i < frames.size(); ++i) {
    for (unsigned y = 0; y < spec.height; ++y) {
      for (unsigned x = 0; x < spec.width; ++x)
        kernel::preprocess_pixel(batch, batch.frames[i], x, y);
    }
  }
  for (size_t i = 0; i < kGuard; ++i) {
    CHECK(tensor[i] == kUntouched);
    CHECK(tensor[tensor.size() - 1 - i] == kUntouched);
  }
  return {tensor.begin() + kGuard, tensor.end() - kGuard};
}

double difference(std::span<const FrameView> frames, const PreprocessSpec& spec) {
  const std::vector<float> found = by_kernel(frames, spec);
  std::vector<float> wanted(tensor_size(spec));
  double worst = 0;
  for (size_t i = 0; i < frames.size(); ++i) {
    preprocess(frames[i], spec, wanted.data());
    const std::span<const float> one(found.data() + i * tensor_size(spec), tensor_size(spec));
    worst = std::max(worst, worst_level(one, wanted, spec));
  }
  return worst;
}

double all_variants(uint32_t width, uint32_t height, uint32_t net_w, uint32_t net_h,
                    std::mt19937& random) {
  double worst = 0;
  for (const PixelFormat format : {PixelFormat::kNv12, PixelFormat::kI420}) {
    const Noise noise(width, height, format, random);
    for (unsigned bits = 0; bits < kVariants; ++bits) {
      const FrameView view = noise.view(bits);
      worst = std::max(worst, difference({&view, 1}, variant_spec(bits, net_w, net_h)));
    }
  }
  CHECK(worst <= kPreprocessTolerance);
  return worst;
}

TEST("every variant, scaling down and up") {
  std::mt19937 random(11);
  const double down = all_variants(211, 97, 70, 64, random);
  const double up = all_variants(13, 7, 150, 133, random);
  std::printf("# worst difference: %.6f of a level down, %.6f up\n", down, up);
}

TEST("one pixel, one row, one column") {
  std::mt19937 random(12);
  all_variants(1, 1, 5, 4, random);
  all_variants(9, 1, 4, 6, random);
  all_variants(1, 9, 6, 4, random);
  all_variants(2, 2, 1, 1, random);
  all_variants(3, 3, 3, 3, random);
}

TEST("random sizes, variants and parts of frames") {
  std::mt19937 random(13);
  const auto up_to = [&](uint32_t n) { return 1 + static_cast<uint32_t>(random() % n); };
  for (int round = 0; round < 300; ++round) {
    const unsigned bits = static_cast<unsigned>(random());
    const PixelFormat format = random() % 2 == 0 ? PixelFormat::kNv12 : PixelFormat::kI420;
    const Noise noise(up_to(400), up_to(300), format, random);
    const FrameView whole = noise.view(bits);
    const uint32_t left = (up_to(whole.format.width) - 1) & ~1U;
    const uint32_t top = (up_to(whole.format.height) - 1) & ~1U;
    const std::array<FrameView, 2> views{whole,
                                         part_of(whole, left, top, up_to(whole.format.width - left),
                                                 up_to(whole.format.height - top))};
    CHECK(difference(views, variant_spec(bits, up_to(200), up_to(200))) <= kPreprocessTolerance);
  }
}

TEST("the largest frames and inputs, where whole numbers are largest") {
  std::mt19937 random(14);
  const Noise wide(32768, 2, PixelFormat::kNv12, random);
  const Noise tall(2, 32768, PixelFormat::kI420, random);
  for (const unsigned bits : {0U, 1U, 16U | 32U}) {
    const FrameView across = wide.view(bits);
    const FrameView down = tall.view(bits);
    CHECK(difference({&across, 1}, variant_spec(bits, 16384, 3)) <= kPreprocessTolerance);
    CHECK(difference({&down, 1}, variant_spec(bits, 3, 16384)) <= kPreprocessTolerance);
  }
}

TEST("a full batch of frames of different sizes") {
  std::mt19937 random(15);
  std::vector<Noise> noises;
  std::vector<FrameView> views;
  for (uint32_t i = 0; i < kernel::kMostFrames; ++i)
    noises.emplace_back(40 + 7 * i, 90 - 2 * i, PixelFormat::kNv12, random);
  for (const Noise& noise : noises) views.push_back(noise.view(1));
  CHECK(difference(views, variant_spec(1, 48, 40)) <= kPreprocessTolerance);
}

TEST("the sizes of real models from real cameras") {
  std::mt19937 random(16);
  for (const auto& [w, h] : {std::pair{1920U, 1080U}, std::pair{768U, 576U}}) {
    const Noise noise(w, h, PixelFormat::kNv12, random);
    for (const uint32_t side : {640U, 300U}) {
      const FrameView view = noise.view(16);
      CHECK(difference({&view, 1}, variant_spec(16, side, side)) <= kPreprocessTolerance);
      CHECK(difference({&view, 1}, variant_spec(17, side, side)) <= kPreprocessTolerance);
    }
  }
}

}  // namespace

int main() { return framebus::test::run_all(); }
