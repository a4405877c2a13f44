#include "preprocess.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "preprocess_rows.h"

namespace framebus {
namespace {

using rows::Kernels;
using rows::RowTaps;

struct Tap {
  uint32_t index = 0;  // First of the two samples; the second is the next one, if there is one.
  float fraction = 0;
};

// Splits a sample position into a pair that lies in 0..size-1.
Tap tap_at(double position, uint32_t size) {
  if (size < 2) return {0, 0};
  const double inside = std::clamp(position, 0.0, static_cast<double>(size - 1));
  const uint32_t index = std::min(static_cast<uint32_t>(inside), size - 2);
  return {index, static_cast<float>(inside - index)};
}

// Position on the luma axis of an output pixel, kept within the picture.
double luma_position(uint32_t out, uint32_t out_size, uint32_t size) {
  const double step = static_cast<double>(size) / out_size;
  return std::clamp((out + 0.5) * step - 0.5, 0.0, static_cast<double>(size - 1));
}

// Chroma sample j lies on luma column 2 j, and half a row below luma row 2 j.
double chroma_x(double luma_x) { return luma_x / 2; }
double chroma_y(double luma_y) { return (luma_y - 0.5) / 2; }

RowTaps row_taps(uint32_t out_size, uint32_t luma_size, bool chroma, uint32_t components) {
  const uint32_t size = chroma ? (luma_size + 1) / 2 : luma_size;
  RowTaps taps;
  taps.next = size < 2 ? 0 : components;
  taps.offset.reserve(out_size);
  taps.fraction.reserve(out_size);
  for (uint32_t i = 0; i < out_size; ++i) {
    const double x = luma_position(i, out_size, luma_size);
    const Tap tap = tap_at(chroma ? chroma_x(x) : x, size);
    taps.offset.push_back(static_cast<int32_t>(tap.index * components));
    taps.fraction.push_back(tap.fraction);
    if (tap.index * components + 4 <= size * components) taps.readable = i + 1;
  }
  return taps;
}

// Resized rows of one plane, the last two of them kept: neighbouring output
// rows mostly share them.
class RowCache {
 public:
  RowCache(const uint8_t* plane, uint32_t stride, uint32_t count, uint32_t height, size_t width)
      : plane_(plane), stride_(stride), components_(count), height_(height), width_(width) {
    for (auto& slot : slots_) slot.floats.resize(width * count);
  }

  // Rows `index` and the next one; component c of a row is `width` floats at c * width.
  template <typename Sample>
  rows::RowPair at(uint32_t index, const Sample& sample) {
    const uint32_t next = std::min(index + 1, height_ - 1);
    const float* first = row(index, next, sample);
    return {first, row(next, index, sample)};
  }

 private:
  struct Slot {
    uint32_t index = std::numeric_limits<uint32_t>::max();
    std::vector<float> floats;
  };

  // Fills the slot that does not hold the row `keep`.
  template <typename Sample>
  const float* row(uint32_t index, uint32_t keep, const Sample& sample) {
    for (const Slot& slot : slots_) {
      if (slot.index == index) return slot.floats.data();
    }
    Slot& slot = slots_[0].index == keep ? slots_[1] : slots_[0];
    float* out = slot.floats.data();
    sample(plane_ + size_t{index} * stride_, out, out + (components_ - 1) * width_);
    slot.index = index;
    return out;
  }

  const uint8_t* const plane_;
  const size_t stride_;
  const size_t components_;
  const uint32_t height_;
  const size_t width_;
  std::array<Slot, 2> slots_;
};

// Everything about one call that does not change from row to row.
class Pass {
 public:
  Pass(const FrameView& frame, const PreprocessSpec& spec, const PicturePlacement& place,
       const Kernels& kernels, float* tensor)
      : frame_(frame), spec_(spec), place_(place), kernels_(kernels), tensor_(tensor) {
    for (size_t i = 0; i < 3; ++i) {
      pad_[i] = (spec.pad_value - spec.mean[i]) * spec.scale[i];
    }
  }

  void run() {
    const auto [left, top, width, height, geometry] = place_;
    pad_rows(0, top);
    pad_rows(top + height, spec_.height);
    for (uint32_t y = top; y < top + height; ++y) {
      pad_columns(y, 0, left);
      pad_columns(y, left + width, spec_.width);
    }
    if (frame_.format.pixel_format == PixelFormat::kNv12) {
      picture<2>();
    } else {
      picture<1>();
    }
  }

 private:
  bool planar() const { return spec_.layout == TensorLayout::kNchw; }

  // The tensor's float for a channel (in the order of the tensor) and a pixel.
  float* at(size_t channel, size_t x, size_t y) {
    const size_t pixel = y * spec_.width + x;
    return planar() ? tensor_ + channel * spec_.width * spec_.height + pixel
                    : tensor_ + pixel * 3 + channel;
  }

  void pad_columns(uint32_t y, uint32_t begin, uint32_t end) {
    const size_t step = planar() ? 1 : 3;
    for (size_t channel = 0; channel < 3; ++channel) {
      float* out = at(channel, begin, y);
      for (uint32_t x = begin; x < end; ++x, out += step) *out = pad_[channel];
    }
  }

  void pad_rows(uint32_t begin, uint32_t end) {
    for (uint32_t y = begin; y < end; ++y) pad_columns(y, 0, spec_.width);
  }

  rows::ConvertRow row_job() const {
    rows::ConvertRow job;
    job.color = color_coefficients(frame_.format);
    job.count = place_.width;
    for (size_t i = 0; i < 3; ++i) {
      job.mean[i] = spec_.mean[channel_of(i)];
      job.scale[i] = spec_.scale[channel_of(i)];
    }
    return job;
  }

  // Which channel of the tensor holds R, G and B.
  size_t channel_of(size_t rgb) const {
    return spec_.color_order == ColorOrder::kRgb ? rgb : 2 - rgb;
  }

  template <uint32_t kChromaComponents>
  void picture() {
    const uint32_t width = frame_.format.width;
    const uint32_t height = frame_.format.height;
    const uint32_t chroma_height = (height + 1) / 2;
    const size_t count = place_.width;
    const RowTaps luma_taps = row_taps(place_.width, width, false, 1);
    const RowTaps chroma_taps = row_taps(place_.width, width, true, kChromaComponents);
    RowCache luma(frame_.data[0], frame_.stride[0], 1, height, count);
    RowCache chroma(frame_.data[1], frame_.stride[1], kChromaComponents, chroma_height, count);
    RowCache chroma_v(frame_.data[2], frame_.stride[2], 1, chroma_height,
                      kChromaComponents == 1 ? count : 0);
    const auto one = [&](const RowTaps& taps) {
      return [&](const uint8_t* row, float* out, float*) { kernels_.sample_one(row, taps, out); };
    };
    const auto two = [&](const uint8_t* row, float* u, float* v) {
      kernels_.sample_two(row, chroma_taps, u, v);
    };
    rows::ConvertRow job = row_job();
    for (uint32_t y = 0; y < place_.height; ++y) {
      const double position = luma_position(y, place_.height, height);
      const Tap luma_tap = tap_at(position, height);
      const Tap chroma_tap = tap_at(chroma_y(position), chroma_height);
      job.y_fraction = luma_tap.fraction;
      job.uv_fraction = chroma_tap.fraction;
      job.y = luma.at(luma_tap.index, one(luma_taps));
      if constexpr (kChromaComponents == 2) {
        job.u = chroma.at(chroma_tap.index, two);
        job.v = {job.u.first + count, job.u.second + count};
      } else {
        job.u = chroma.at(chroma_tap.index, one(chroma_taps));
        job.v = chroma_v.at(chroma_tap.index, one(chroma_taps));
      }
      for (size_t i = 0; i < 3; ++i) job.out[i] = at(channel_of(i), place_.left, place_.top + y);
      (planar() ? kernels_.convert_planar : kernels_.convert_interleaved)(job);
    }
  }

  const FrameView& frame_;
  const PreprocessSpec& spec_;
  const PicturePlacement& place_;
  const Kernels& kernels_;
  float* const tensor_;
  std::array<float, 3> pad_{};
};

}  // namespace

rows::ColorCoefficients color_coefficients(const FrameFormat& format) {
  const bool bt709 = format.matrix == ColorMatrix::kBt709;
  const double kr = bt709 ? 0.2126 : 0.299;
  const double kb = bt709 ? 0.0722 : 0.114;
  const double kg = 1 - kr - kb;
  const bool limited = format.range == ColorRange::kLimited;
  const double luma = limited ? 255.0 / 219.0 : 1.0;
  const double chroma = limited ? 255.0 / 224.0 : 1.0;
  const double red_v = 2 * (1 - kr) * chroma;
  const double blue_u = 2 * (1 - kb) * chroma;
  const double green_u = -blue_u * kb / kg;
  const double green_v = -red_v * kr / kg;
  const double black = limited ? -16 * luma : 0.0;
  const auto narrow = [](double value) { return static_cast<float>(value); };
  return {.luma = narrow(luma),
          .red_v = narrow(red_v),
          .red_0 = narrow(black - 128 * red_v),
          .green_u = narrow(green_u),
          .green_v = narrow(green_v),
          .green_0 = narrow(black - 128 * (green_u + green_v)),
          .blue_u = narrow(blue_u),
          .blue_0 = narrow(black - 128 * blue_u)};
}

PicturePlacement place_picture(uint32_t frame_width, uint32_t frame_height,
                               const PreprocessSpec& spec) {
  const double width = spec.width;
  const double height = spec.height;
  if (spec.resize == Resize::kStretch) {
    return {0, 0, spec.width, spec.height, {width / frame_width, height / frame_height, 0, 0}};
  }
  const bool center = spec.anchor == Anchor::kCenter;
  const double ratio = std::min(height / frame_height, width / frame_width);
  // The default rounding mode is Python's round(): half to even.
  const auto fit = [&](uint32_t frame, uint32_t net) {
    const double size = center ? std::nearbyint(frame * ratio) : std::floor(frame * ratio);
    return static_cast<uint32_t>(std::clamp(size, 1.0, static_cast<double>(net)));
  };
  const auto before = [&](uint32_t net, uint32_t size) {
    if (!center) return uint32_t{0};
    return static_cast<uint32_t>(std::max(0.0, std::nearbyint((net - size) / 2.0 - 0.1)));
  };
  const uint32_t w = fit(frame_width, spec.width);
  const uint32_t h = fit(frame_height, spec.height);
  const uint32_t left = before(spec.width, w);
  const uint32_t top = before(spec.height, h);
  return {left, top, w, h, {ratio, ratio, static_cast<double>(left), static_cast<double>(top)}};
}

PreprocessGeometry preprocess_with(const Kernels& kernels, const FrameView& frame,
                                   const PreprocessSpec& spec, float* tensor) {
  const PicturePlacement place = place_picture(frame.format.width, frame.format.height, spec);
  Pass(frame, spec, place, kernels, tensor).run();
  return place.geometry;
}

PreprocessGeometry preprocess(const FrameView& frame, const PreprocessSpec& spec, float* tensor) {
  return preprocess_with(rows::available_kernels().back(), frame, spec, tensor);
}

}  // namespace framebus
