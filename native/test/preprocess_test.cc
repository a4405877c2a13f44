// preprocess() against a slow, obvious reference in double precision.
#include "core/preprocess.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "check.h"

namespace {

using namespace framebus;

// A picture whose planes have exactly the bytes they must have: rows of any
// stride, the last one without padding, so that ASan sees every byte too far.
struct Picture {
  FrameFormat format;
  std::array<std::vector<uint8_t>, kMaxPlanes> planes;
  std::array<uint32_t, kMaxPlanes> stride{};

  Picture(uint32_t width, uint32_t height, PixelFormat pixel_format, std::mt19937& random) {
    format.width = width;
    format.height = height;
    format.pixel_format = pixel_format;
    for (uint32_t p = 0; p < plane_count(pixel_format); ++p) {
      const uint32_t row = plane_row_bytes(format, p);
      stride[p] = row + static_cast<uint32_t>(random() % 40);
      planes[p].resize(size_t{stride[p]} * (plane_rows(format, p) - 1) + row);
      planes[p].shrink_to_fit();
      for (uint8_t& byte : planes[p]) byte = static_cast<uint8_t>(random());
    }
  }

  FrameView view() const {
    FrameView view;
    view.format = format;
    view.stride = stride;
    for (size_t p = 0; p < kMaxPlanes; ++p) view.data[p] = planes[p].data();
    return view;
  }

  // Component 0 Y, 1 U, 2 V; coordinates outside repeat the edge.
  double sample(int component, int x, int y) const {
    const int width = static_cast<int>(component == 0 ? format.width : (format.width + 1) / 2);
    const int height = static_cast<int>(component == 0 ? format.height : (format.height + 1) / 2);
    const size_t cx = static_cast<size_t>(std::clamp(x, 0, width - 1));
    const size_t cy = static_cast<size_t>(std::clamp(y, 0, height - 1));
    if (component > 0 && format.pixel_format == PixelFormat::kNv12) {
      return planes[1][cy * stride[1] + 2 * cx + static_cast<size_t>(component - 1)];
    }
    const size_t plane = static_cast<size_t>(component);
    return planes[plane][cy * stride[plane] + cx];
  }

  double bilinear(int component, double x, double y) const {
    const int x0 = static_cast<int>(std::floor(x));
    const int y0 = static_cast<int>(std::floor(y));
    const double fx = x - x0;
    const double fy = y - y0;
    const double top = sample(component, x0, y0) * (1 - fx) + sample(component, x0 + 1, y0) * fx;
    const double bottom =
        sample(component, x0, y0 + 1) * (1 - fx) + sample(component, x0 + 1, y0 + 1) * fx;
    return top * (1 - fy) + bottom * fy;
  }

  // R, G, B levels at a position in luma pixels.
  std::array<double, 3> rgb(double x, double y) const {
    double luma = bilinear(0, x, y);
    double u = bilinear(1, x / 2, (y - 0.5) / 2) - 128;
    double v = bilinear(2, x / 2, (y - 0.5) / 2) - 128;
    if (format.range == ColorRange::kLimited) {
      luma = (luma - 16) * 255 / 219;
      u = u * 255 / 224;
      v = v * 255 / 224;
    }
    std::array<double, 3> out{};
    if (format.matrix == ColorMatrix::kBt601) {
      out = {luma + 1.402 * v, luma - 0.114 * 1.772 / 0.587 * u - 0.299 * 1.402 / 0.587 * v,
             luma + 1.772 * u};
    } else {
      out = {luma + 1.5748 * v, luma - 0.0722 * 1.8556 / 0.7152 * u - 0.2126 * 1.5748 / 0.7152 * v,
             luma + 1.8556 * u};
    }
    for (double& channel : out) channel = std::clamp(channel, 0.0, 255.0);
    return out;
  }
};

// Where the picture should lie, written down from the upstream projects' code.
struct Place {
  int left, top, width, height;
};

double round_half_even(double value) {
  const double down = std::floor(value);
  const double rest = value - down;
  if (rest < 0.5 || (rest == 0.5 && std::fmod(down, 2) == 0)) return down;
  return down + 1;
}

Place expected_place(const FrameFormat& format, const PreprocessSpec& spec) {
  const double net_w = spec.width;
  const double net_h = spec.height;
  const double w = format.width;
  const double h = format.height;
  if (spec.resize == Resize::kStretch) {
    return {0, 0, static_cast<int>(net_w), static_cast<int>(net_h)};
  }
  const double r = std::min(net_h / h, net_w / w);
  if (spec.anchor == Anchor::kTopLeft) {
    return {0, 0, std::max(1, static_cast<int>(w * r)), std::max(1, static_cast<int>(h * r))};
  }
  const double new_w = std::max(1.0, round_half_even(w * r));
  const double new_h = std::max(1.0, round_half_even(h * r));
  return {static_cast<int>(std::max(0.0, round_half_even((net_w - new_w) / 2 - 0.1))),
          static_cast<int>(std::max(0.0, round_half_even((net_h - new_h) / 2 - 0.1))),
          static_cast<int>(new_w), static_cast<int>(new_h)};
}

std::vector<double> reference(const Picture& picture, const PreprocessSpec& spec) {
  const Place place = expected_place(picture.format, spec);
  const size_t net_w = spec.width;
  const size_t net_h = spec.height;
  std::vector<double> tensor(3 * net_w * net_h);
  for (size_t y = 0; y < net_h; ++y) {
    for (size_t x = 0; x < net_w; ++x) {
      const int px = static_cast<int>(x) - place.left;
      const int py = static_cast<int>(y) - place.top;
      std::array<double, 3> levels;
      levels.fill(spec.pad_value);
      if (px >= 0 && px < place.width && py >= 0 && py < place.height) {
        const double w = picture.format.width;
        const double h = picture.format.height;
        const double fx = std::clamp((px + 0.5) * w / place.width - 0.5, 0.0, w - 1);
        const double fy = std::clamp((py + 0.5) * h / place.height - 0.5, 0.0, h - 1);
        levels = picture.rgb(fx, fy);
        if (spec.color_order == ColorOrder::kBgr) std::swap(levels[0], levels[2]);
      }
      for (size_t c = 0; c < 3; ++c) {
        const size_t index = spec.layout == TensorLayout::kNchw ? (c * net_h + y) * net_w + x
                                                                : (y * net_w + x) * 3 + c;
        tensor[index] = (levels[c] - spec.mean[c]) * spec.scale[c];
      }
    }
  }
  return tensor;
}

// Largest difference over the tensor, in levels (before normalisation).
double difference(const rows::Kernels& kernels, const Picture& picture,
                  const PreprocessSpec& spec) {
  constexpr float kUntouched = -12345;
  const size_t guard = 64;
  std::vector<float> tensor(tensor_size(spec) + 2 * guard, kUntouched);
  preprocess_with(kernels, picture.view(), spec, tensor.data() + guard);
  for (size_t i = 0; i < guard; ++i) {
    CHECK(tensor[i] == kUntouched);
    CHECK(tensor[tensor.size() - 1 - i] == kUntouched);
  }
  const std::vector<double> expected = reference(picture, spec);
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const size_t channel =
        spec.layout == TensorLayout::kNchw ? i / (size_t{spec.width} * spec.height) : i % 3;
    const double off = std::abs(tensor[guard + i] - expected[i]) / std::abs(spec.scale[channel]);
    worst = std::max(worst, off);
  }
  return worst;
}

void set_colors(FrameFormat& format, unsigned bits) {
  format.matrix = (bits & 1) != 0 ? ColorMatrix::kBt709 : ColorMatrix::kBt601;
  format.range = (bits & 2) != 0 ? ColorRange::kFull : ColorRange::kLimited;
}

void set_options(PreprocessSpec& spec, unsigned bits) {
  spec.resize = (bits & 1) != 0 ? Resize::kLetterbox : Resize::kStretch;
  spec.anchor = (bits & 2) != 0 ? Anchor::kTopLeft : Anchor::kCenter;
  spec.color_order = (bits & 4) != 0 ? ColorOrder::kBgr : ColorOrder::kRgb;
  spec.layout = (bits & 8) != 0 ? TensorLayout::kNhwc : TensorLayout::kNchw;
}

constexpr double kTolerance = 1.0 / 255;

void check_all_options(uint32_t width, uint32_t height, uint32_t net_w, uint32_t net_h,
                       std::mt19937& random) {
  for (const rows::Kernels& kernels : rows::available_kernels()) {
    for (unsigned bits = 0; bits < 128; ++bits) {
      Picture picture(width, height, (bits & 64) != 0 ? PixelFormat::kNv12 : PixelFormat::kI420,
                      random);
      set_colors(picture.format, bits >> 4);
      PreprocessSpec spec;
      spec.width = net_w;
      spec.height = net_h;
      set_options(spec, bits);
      spec.mean = {123.675F, 116.28F, 103.53F};
      spec.scale = {1 / 58.395F, 1 / 57.12F, -1 / 57.375F};
      CHECK(difference(kernels, picture, spec) <= kTolerance);
    }
  }
}

TEST("every option, both formats, matrices and ranges, scaling down") {
  std::mt19937 random(1);
  check_all_options(211, 97, 70, 64, random);
}

TEST("every option, scaling up") {
  std::mt19937 random(2);
  check_all_options(13, 7, 150, 133, random);
}

TEST("one pixel, one row, one column") {
  std::mt19937 random(3);
  check_all_options(1, 1, 5, 4, random);
  check_all_options(9, 1, 4, 6, random);
  check_all_options(1, 9, 6, 4, random);
  check_all_options(2, 2, 1, 1, random);
}

TEST("random sizes and options") {
  std::mt19937 random(4);
  const auto up_to = [&](uint32_t n) { return 1 + static_cast<uint32_t>(random() % n); };
  for (int round = 0; round < 300; ++round) {
    const unsigned bits = static_cast<unsigned>(random());
    Picture picture(up_to(400), up_to(300),
                    (bits & 64) != 0 ? PixelFormat::kNv12 : PixelFormat::kI420, random);
    set_colors(picture.format, bits >> 4);
    PreprocessSpec spec;
    spec.width = up_to(200);
    spec.height = up_to(200);
    set_options(spec, bits);
    spec.pad_value = static_cast<float>(random() % 256);
    for (size_t c = 0; c < 3; ++c) {
      spec.mean[c] = static_cast<float>(random() % 256);
      spec.scale[c] = 1 / static_cast<float>(up_to(255));
    }
    for (const rows::Kernels& kernels : rows::available_kernels()) {
      CHECK(difference(kernels, picture, spec) <= kTolerance);
    }
  }
}

TEST("the sizes of real models from real cameras") {
  std::mt19937 random(5);
  for (const PixelFormat format : {PixelFormat::kNv12, PixelFormat::kI420}) {
    for (const auto& [w, h] : {std::pair{1920U, 1080U}, std::pair{768U, 576U}}) {
      Picture picture(w, h, format, random);
      PreprocessSpec spec;
      spec.width = spec.height = 300;
      CHECK(difference(rows::available_kernels().back(), picture, spec) <= kTolerance);
      spec.width = spec.height = 416;
      set_options(spec, 1 | 2 | 4);
      CHECK(difference(rows::available_kernels().back(), picture, spec) <= kTolerance);
    }
  }
}

TEST("known colours come out as they are known") {
  struct Known {
    ColorMatrix matrix;
    ColorRange range;
    uint8_t y, u, v;
    std::array<double, 3> rgb;
  };
  // Pure colours in integers, so within 1.5 levels of the corner.
  const std::array<Known, 6> table{{
      {ColorMatrix::kBt601, ColorRange::kLimited, 81, 90, 240, {255, 0, 0}},
      {ColorMatrix::kBt601, ColorRange::kLimited, 235, 128, 128, {255, 255, 255}},
      {ColorMatrix::kBt601, ColorRange::kFull, 76, 85, 255, {255, 0, 0}},
      {ColorMatrix::kBt709, ColorRange::kLimited, 63, 102, 240, {255, 0, 0}},
      {ColorMatrix::kBt709, ColorRange::kLimited, 173, 42, 26, {0, 255, 0}},
      {ColorMatrix::kBt709, ColorRange::kFull, 18, 255, 116, {0, 0, 255}},
  }};
  std::mt19937 random(6);
  for (const Known& known : table) {
    Picture picture(4, 4, PixelFormat::kI420, random);
    picture.format.matrix = known.matrix;
    picture.format.range = known.range;
    std::fill(picture.planes[0].begin(), picture.planes[0].end(), known.y);
    std::fill(picture.planes[1].begin(), picture.planes[1].end(), known.u);
    std::fill(picture.planes[2].begin(), picture.planes[2].end(), known.v);
    PreprocessSpec spec;
    spec.width = spec.height = 1;
    std::array<float, 3> tensor{};
    preprocess(picture.view(), spec, tensor.data());
    for (size_t c = 0; c < 3; ++c) CHECK(std::abs(tensor[c] - known.rgb[c]) <= 1.5);
  }
}

TEST("letterbox places as upstream does, and maps back") {
  PreprocessSpec spec;
  spec.width = spec.height = 640;
  spec.resize = Resize::kLetterbox;
  const PicturePlacement wide = place_picture(1920, 1080, spec);
  CHECK(wide.left == 0 && wide.top == 140 && wide.width == 640 && wide.height == 360);
  CHECK(wide.geometry.offset_y == 140 && std::abs(wide.geometry.scale_x - 1.0 / 3) < 1e-12);
  // Odd remainder: 640 - 427 = 213, half of it less 0.1 is 106.4.
  const PicturePlacement odd = place_picture(1500, 1001, spec);
  CHECK(odd.height == 427 && odd.top == 106);
  spec.anchor = Anchor::kTopLeft;
  const PicturePlacement corner = place_picture(1500, 1003, spec);
  CHECK(corner.left == 0 && corner.top == 0 && corner.width == 640 && corner.height == 427);
  CHECK(place_picture(10000, 1, spec).height == 1);
  spec.resize = Resize::kStretch;
  const PicturePlacement stretched = place_picture(1280, 720, spec);
  CHECK(stretched.geometry.scale_x == 0.5 && stretched.geometry.scale_y == 640.0 / 720);
}

}  // namespace

int main() { return framebus::test::run_all(); }
