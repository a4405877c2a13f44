// JPEG pictures decoded again and compared with the frame's colours.
#include "core/jpeg.h"

#include <turbojpeg.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "check.h"
#include "core/error.h"

namespace {

using namespace framebus;

using Rgb = std::array<double, 3>;

// Colour of the test picture at a place: smooth, so that JPEG keeps it.
Rgb color_at(double x, double y) { return {40 + 170 * x, 60 + 150 * y, 200 - 130 * x * y}; }

struct Picture {
  FrameFormat format;
  std::array<std::vector<uint8_t>, kMaxPlanes> planes;
  std::array<uint32_t, kMaxPlanes> stride{};

  explicit Picture(const FrameFormat& wanted) : format(wanted) {
    for (uint32_t p = 0; p < plane_count(format.pixel_format); ++p) {
      stride[p] = plane_row_bytes(format, p) + 3;
      // No padding after the last row: ASan sees every byte too far.
      planes[p].resize(size_t{stride[p]} * (plane_rows(format, p) - 1) +
                       plane_row_bytes(format, p));
    }
    for (uint32_t y = 0; y < format.height; ++y) {
      for (uint32_t x = 0; x < format.width; ++x) set(x, y);
    }
  }

  // From the text of the standards, in double precision.
  void set(uint32_t x, uint32_t y) {
    const Rgb rgb = color_at(x / double(format.width), y / double(format.height));
    const bool bt709 = format.matrix == ColorMatrix::kBt709;
    const double luma = bt709 ? 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]
                              : 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
    const double u = (rgb[2] - luma) / (bt709 ? 1.8556 : 1.772);
    const double v = (rgb[0] - luma) / (bt709 ? 1.5748 : 1.402);
    const bool full = format.range == ColorRange::kFull;
    const auto byte = [](double value) { return static_cast<uint8_t>(std::lround(value)); };
    planes[0][size_t{y} * stride[0] + x] = byte(full ? luma : 16 + luma * 219 / 255);
    const double scale = full ? 1 : 224.0 / 255;
    const size_t row = size_t{y / 2} * stride[1];
    if (format.pixel_format == PixelFormat::kNv12) {
      planes[1][row + x / 2 * 2] = byte(128 + u * scale);
      planes[1][row + x / 2 * 2 + 1] = byte(128 + v * scale);
    } else {
      planes[1][row + x / 2] = byte(128 + u * scale);
      planes[2][row + x / 2] = byte(128 + v * scale);
    }
  }

  FrameView view() const {
    return {format, {planes[0].data(), planes[1].data(), planes[2].data()}, stride};
  }
};

struct Decoded {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> rgb;
};

Decoded decode(const std::vector<uint8_t>& jpeg) {
  Decoded out;
  const tjhandle decoder = tjInitDecompress();
  int sampling = 0;
  int space = 0;
  const auto size = static_cast<unsigned long>(jpeg.size());
  CHECK(tjDecompressHeader3(decoder, jpeg.data(), size, &out.width, &out.height, &sampling,
                            &space) == 0);
  CHECK(sampling == TJSAMP_420);
  out.rgb.resize(size_t{3} * static_cast<size_t>(out.width) * static_cast<size_t>(out.height));
  CHECK(tjDecompress2(decoder, jpeg.data(), size, out.rgb.data(), out.width, 0, out.height,
                      TJPF_RGB, 0) == 0);
  tjDestroy(decoder);
  return out;
}

// Mean absolute difference from the colours that were meant, in levels.
double mean_error(const FrameFormat& format, int quality) {
  const Decoded decoded = decode(encode_jpeg(Picture(format).view(), quality));
  CHECK(decoded.width == static_cast<int>(format.width));
  CHECK(decoded.height == static_cast<int>(format.height));
  double sum = 0;
  size_t i = 0;
  for (uint32_t y = 0; y < format.height; ++y) {
    for (uint32_t x = 0; x < format.width; ++x) {
      const Rgb meant = color_at(x / double(format.width), y / double(format.height));
      for (const double level : meant) sum += std::abs(decoded.rgb[i++] - level);
    }
  }
  return sum / static_cast<double>(i);
}

TEST("colours stay, for both formats, matrices and ranges") {
  for (unsigned bits = 0; bits < 8; ++bits) {
    FrameFormat format;
    format.width = 192;
    format.height = 128;
    format.pixel_format = (bits & 1) != 0 ? PixelFormat::kNv12 : PixelFormat::kI420;
    format.matrix = (bits & 2) != 0 ? ColorMatrix::kBt709 : ColorMatrix::kBt601;
    format.range = (bits & 4) != 0 ? ColorRange::kFull : ColorRange::kLimited;
    CHECK(mean_error(format, 95) < 1.5);
  }
}

TEST("odd and tiny sizes") {
  for (const auto& [width, height] : {std::pair{97U, 55U}, std::pair{64U, 33U}}) {
    for (const auto range : {ColorRange::kFull, ColorRange::kLimited}) {
      FrameFormat format;
      format.width = width;
      format.height = height;
      format.range = range;
      CHECK(mean_error(format, 95) < 3);
    }
  }
  FrameFormat dot;
  dot.width = dot.height = 1;
  CHECK(mean_error(dot, 95) < 8);
}

TEST("quality makes a difference, and a bad one is refused") {
  FrameFormat format;
  format.width = 192;
  format.height = 128;
  const Picture picture(format);
  CHECK(encode_jpeg(picture.view(), 20).size() < encode_jpeg(picture.view(), 95).size());
  for (const int quality : {0, 101}) {
    std::string code;
    try {
      encode_jpeg(picture.view(), quality);
    } catch (const Error& error) {
      code = error.code();
    }
    CHECK(code == "JPEG_FAILED");
  }
}

}  // namespace

int main() { return framebus::test::run_all(); }
