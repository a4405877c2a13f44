#include "jpeg.h"

#include <turbojpeg.h>

#include <algorithm>
#include <array>
#include <cmath>
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

// Y, U and V of any frame as levels of JPEG (full range, BT.601), in 1/65536;
// u = U - 128, v = V - 128.
struct ToJpeg {
  int32_t luma_0;  // y = Y * luma + luma_0 + …
  int32_t luma;
  int32_t luma_u, luma_v;  // … + u * luma_u + v * luma_v
  int32_t u_u, u_v;        // u' = u * u_u + v * u_v
  int32_t v_u, v_v;        // v' = u * v_u + v * v_v
};

constexpr int kFractionBits = 16;

int32_t fixed(double value) {
  return static_cast<int32_t>(std::lround(value * (1 << kFractionBits)));
}

ToJpeg conversion(const FrameFormat& format) {
  const bool limited = format.range == ColorRange::kLimited;
  const double luma = limited ? 255.0 / 219.0 : 1.0;
  const double chroma = limited ? 255.0 / 224.0 : 1.0;
  const double luma_0 = limited ? -16 * luma : 0.0;
  if (format.matrix == ColorMatrix::kBt601) {
    return {fixed(luma_0), fixed(luma), 0, 0, fixed(chroma), 0, 0, fixed(chroma)};
  }
  // BT.709 to R'G'B' less the luma: red = red_v v, green = green_u u + green_v v, blue = blue_u u;
  const double red_v = 1.5748;
  const double blue_u = 1.8556;
  const double green_u = -0.0722 * blue_u / 0.7152;
  const double green_v = -0.2126 * red_v / 0.7152;
  // and from there by the rows of BT.601.
  const double luma_u = 0.587 * green_u + 0.114 * blue_u;
  const double luma_v = 0.299 * red_v + 0.587 * green_v;
  return {fixed(luma_0),
          fixed(luma),
          fixed(luma_u * chroma),
          fixed(luma_v * chroma),
          fixed((blue_u - luma_u) / 1.772 * chroma),
          fixed(-luma_v / 1.772 * chroma),
          fixed(-luma_u / 1.402 * chroma),
          fixed((red_v - luma_v) / 1.402 * chroma)};
}

uint8_t to_byte(int32_t value) {
  const int32_t rounded = (value + (1 << (kFractionBits - 1))) >> kFractionBits;
  return static_cast<uint8_t>(std::min(std::max(rounded, 0), 255));
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
        pixels_(half_width_ * half_height_ * 6),
        luma_shift_(half_width_) {
    const ToJpeg to = conversion(frame.format);
    const bool packed = frame.format.pixel_format == PixelFormat::kNv12;
    for (size_t row = 0; row < half_height_; ++row) {
      packed ? convert_chroma<2>(to, row) : convert_chroma<1>(to, row);
      convert_luma(to, 2 * row);
      convert_luma(to, 2 * row + 1);
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
  template <size_t kStep>
  void convert_chroma(const ToJpeg& to, size_t row) {
    const uint8_t* in_u = frame_.data[1] + row * frame_.stride[1];
    const uint8_t* in_v = kStep == 2 ? in_u + 1 : frame_.data[2] + row * frame_.stride[2];
    uint8_t* __restrict out_u = &pixels_[(4 * half_height_ + row) * half_width_];
    uint8_t* __restrict out_v = out_u + half_width_ * half_height_;
    int32_t* __restrict shift = luma_shift_.data();
    constexpr int32_t kMiddle = 128 << kFractionBits;
    for (size_t x = 0; x < half_width_; ++x) {
      const int32_t u = in_u[x * kStep] - 128;
      const int32_t v = in_v[x * kStep] - 128;
      out_u[x] = to_byte(u * to.u_u + v * to.u_v + kMiddle);
      out_v[x] = to_byte(u * to.v_u + v * to.v_v + kMiddle);
      shift[x] = u * to.luma_u + v * to.luma_v + to.luma_0;
    }
  }

  void convert_luma(const ToJpeg& to, size_t row) {
    const uint8_t* in = frame_.data[0] + std::min(row, height_ - 1) * frame_.stride[0];
    uint8_t* __restrict out = &pixels_[row * 2 * half_width_];
    for (size_t x = 0; x < width_ / 2; ++x) {
      out[2 * x] = to_byte(in[2 * x] * to.luma + luma_shift_[x]);
      out[2 * x + 1] = to_byte(in[2 * x + 1] * to.luma + luma_shift_[x]);
    }
    if (width_ % 2 != 0) {
      const size_t last = width_ - 1;
      out[last] = out[last + 1] = to_byte(in[last] * to.luma + luma_shift_[last / 2]);
    }
  }

  const FrameView& frame_;
  const size_t width_;
  const size_t height_;
  const size_t half_width_;
  const size_t half_height_;
  std::vector<uint8_t> pixels_;      // Y, U, V.
  std::vector<int32_t> luma_shift_;  // What one row's chroma adds to its luma, in 1/65536.
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
