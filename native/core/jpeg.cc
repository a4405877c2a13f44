#include "jpeg.h"

#include <turbojpeg.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>

#include "error.h"

namespace framebus {
namespace {

struct Destroy {
  void operator()(void* handle) const { tjDestroy(handle); }
};
struct Free {
  void operator()(unsigned char* bytes) const { tjFree(bytes); }
};

// Y, U and V of any frame as levels of JPEG: full range, BT.601.
struct ToJpeg {
  float luma_0, luma;    // y = (Y - luma_0) * luma + …
  float luma_u, luma_v;  // … + u * luma_u + v * luma_v
  float u_u, u_v;        // u' = u * u_u + v * u_v
  float v_u, v_v;        // v' = u * v_u + v * v_v, all with u = U - 128, v = V - 128.
};

ToJpeg conversion(const FrameFormat& format) {
  const bool limited = format.range == ColorRange::kLimited;
  const float luma_0 = limited ? 16.0F : 0.0F;
  const float luma = limited ? 255.0F / 219.0F : 1.0F;
  const float chroma = limited ? 255.0F / 224.0F : 1.0F;
  if (format.matrix == ColorMatrix::kBt601) return {luma_0, luma, 0, 0, chroma, 0, 0, chroma};
  // BT.709 to R'G'B' less the luma: red = red_v v, green = green_u u + green_v v, blue = blue_u u;
  const double red_v = 1.5748;
  const double blue_u = 1.8556;
  const double green_u = -0.0722 * blue_u / 0.7152;
  const double green_v = -0.2126 * red_v / 0.7152;
  // and from there by the rows of BT.601.
  const double luma_u = 0.587 * green_u + 0.114 * blue_u;
  const double luma_v = 0.299 * red_v + 0.587 * green_v;
  const auto scaled = [&](double value) { return static_cast<float>(value) * chroma; };
  return {luma_0,
          luma,
          scaled(luma_u),
          scaled(luma_v),
          scaled((blue_u - luma_u) / 1.772),
          scaled(-luma_v / 1.772),
          scaled(-luma_u / 1.402),
          scaled((red_v - luma_v) / 1.402)};
}

uint8_t to_byte(float value) {
  return static_cast<uint8_t>(std::min(std::max(value + 0.5F, 0.0F), 255.0F));
}

// Planes as turbojpeg wants them: even width and height, edges repeated.
class JpegPlanes {
 public:
  explicit JpegPlanes(const FrameView& frame)
      : frame_(frame),
        width_(frame.format.width),
        height_(frame.format.height),
        half_width_((width_ + 1) / 2),
        half_height_((height_ + 1) / 2),
        pixels_(half_width_ * half_height_ * 6) {
    const ToJpeg to = conversion(frame.format);
    std::vector<float> luma_shift(half_width_);
    for (size_t row = 0; row < half_height_; ++row) {
      convert_chroma(to, row, luma_shift);
      convert_luma(to, 2 * row, luma_shift);
      convert_luma(to, 2 * row + 1, luma_shift);
    }
  }

  std::array<const unsigned char*, 3> planes() const {
    const uint8_t* start = pixels_.data();
    const size_t quarter = half_width_ * half_height_;
    return {start, start + 4 * quarter, start + 5 * quarter};
  }
  std::array<int, 3> strides() const {
    const int half = static_cast<int>(half_width_);
    return {2 * half, half, half};
  }

 private:
  void convert_chroma(const ToJpeg& to, size_t row, std::vector<float>& luma_shift) {
    const bool packed = frame_.format.pixel_format == PixelFormat::kNv12;
    const size_t step = packed ? 2 : 1;
    const uint8_t* in_u = frame_.data[1] + row * frame_.stride[1];
    const uint8_t* in_v = packed ? in_u + 1 : frame_.data[2] + row * frame_.stride[2];
    uint8_t* out_u = &pixels_[(4 * half_height_ + row) * half_width_];
    uint8_t* out_v = out_u + half_width_ * half_height_;
    for (size_t x = 0; x < half_width_; ++x) {
      const float u = static_cast<float>(in_u[x * step]) - 128;
      const float v = static_cast<float>(in_v[x * step]) - 128;
      out_u[x] = to_byte(u * to.u_u + v * to.u_v + 128);
      out_v[x] = to_byte(u * to.v_u + v * to.v_v + 128);
      luma_shift[x] = u * to.luma_u + v * to.luma_v;
    }
  }

  void convert_luma(const ToJpeg& to, size_t row, const std::vector<float>& luma_shift) {
    const uint8_t* in = frame_.data[0] + std::min(row, height_ - 1) * frame_.stride[0];
    uint8_t* out = &pixels_[row * 2 * half_width_];
    for (size_t x = 0; x < width_; ++x) {
      out[x] = to_byte((static_cast<float>(in[x]) - to.luma_0) * to.luma + luma_shift[x / 2]);
    }
    if (width_ % 2 != 0) out[width_] = out[width_ - 1];
  }

  const FrameView& frame_;
  const size_t width_;
  const size_t height_;
  const size_t half_width_;
  const size_t half_height_;
  std::vector<uint8_t> pixels_;
};

// Whether turbojpeg can read the frame's own planes.
bool is_jpeg_already(const FrameFormat& format) {
  return format.pixel_format == PixelFormat::kI420 && format.range == ColorRange::kFull &&
         format.matrix == ColorMatrix::kBt601 && format.width % 2 == 0 && format.height % 2 == 0;
}

std::vector<uint8_t> compress(std::array<const unsigned char*, 3> planes,
                              const std::array<int, 3>& strides, const FrameFormat& format,
                              int quality) {
  const std::unique_ptr<void, Destroy> compressor(tjInitCompress());
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  const int failed =
      !compressor ||
      tjCompressFromYUVPlanes(compressor.get(), planes.data(), static_cast<int>(format.width),
                              strides.data(), static_cast<int>(format.height), TJSAMP_420, &bytes,
                              &size, quality, 0) != 0;
  const std::unique_ptr<unsigned char, Free> owned(bytes);
  if (failed) {
    throw Error("JPEG_FAILED", "picture of " + std::to_string(format.width) + " x " +
                                   std::to_string(format.height) +
                                   ": no JPEG: " + tjGetErrorStr2(compressor.get()));
  }
  return {bytes, bytes + size};
}

}  // namespace

std::vector<uint8_t> encode_jpeg(const FrameView& frame, int quality) {
  if (quality < 1 || quality > 100 || frame.format.width == 0 || frame.format.height == 0) {
    throw Error("JPEG_FAILED", "picture of " + std::to_string(frame.format.width) + " x " +
                                   std::to_string(frame.format.height) + " at quality " +
                                   std::to_string(quality) +
                                   ": no JPEG: needs a size, and a quality from 1 to 100");
  }
  if (is_jpeg_already(frame.format)) {
    std::array<int, 3> strides{};
    for (size_t p = 0; p < strides.size(); ++p) strides[p] = static_cast<int>(frame.stride[p]);
    return compress(frame.data, strides, frame.format, quality);
  }
  const JpegPlanes converted(frame);
  return compress(converted.planes(), converted.strides(), frame.format, quality);
}

}  // namespace framebus
