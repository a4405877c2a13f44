// Everything that preprocess() can be asked for, and how far two tensors are apart.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/frame_view.h"
#include "core/preprocess.h"

namespace framebus::test {

// Of a level (0-255).
constexpr double kPreprocessTolerance = 1.0 / 255;

// Bits of a variant: resize, anchor, order, layout, matrix, range, normalisation.
constexpr unsigned kVariants = 128;

inline PreprocessSpec variant_spec(unsigned bits, uint32_t width, uint32_t height) {
  PreprocessSpec spec;
  spec.width = width;
  spec.height = height;
  spec.resize = (bits & 1) != 0 ? Resize::kLetterbox : Resize::kStretch;
  spec.anchor = (bits & 2) != 0 ? Anchor::kTopLeft : Anchor::kCenter;
  spec.color_order = (bits & 4) != 0 ? ColorOrder::kBgr : ColorOrder::kRgb;
  spec.layout = (bits & 8) != 0 ? TensorLayout::kNhwc : TensorLayout::kNchw;
  if ((bits & 64) != 0) {
    spec.pad_value = 97;
    spec.mean = {123.675F, 116.28F, 103.53F};
    spec.scale = {1 / 58.395F, 1 / 57.12F, -1 / 57.375F};
  }
  return spec;
}

inline void variant_colors(unsigned bits, FrameFormat& format) {
  format.matrix = (bits & 16) != 0 ? ColorMatrix::kBt709 : ColorMatrix::kBt601;
  format.range = (bits & 32) != 0 ? ColorRange::kFull : ColorRange::kLimited;
}

// Largest difference of two frames' tensors, in levels.
inline double worst_level(std::span<const float> a, std::span<const float> b,
                          const PreprocessSpec& spec) {
  const size_t pixels = size_t{spec.width} * spec.height;
  double worst = 0;
  for (size_t i = 0; i < tensor_size(spec); ++i) {
    const size_t channel = spec.layout == TensorLayout::kNchw ? i / pixels : i % 3;
    const double off =
        std::abs(double{a[i]} - double{b[i]}) / std::abs(double{spec.scale[channel]});
    worst = std::isnan(off) ? HUGE_VAL : std::max(worst, off);
  }
  return worst;
}

// A part of a frame that begins at even pixels.
inline FrameView part_of(const FrameView& frame, uint32_t left, uint32_t top, uint32_t width,
                         uint32_t height) {
  FrameView part = frame;
  part.format.width = width;
  part.format.height = height;
  part.data[0] += size_t{top} * frame.stride[0] + left;
  const bool nv12 = frame.format.pixel_format == PixelFormat::kNv12;
  for (uint32_t plane = 1; plane < plane_count(frame.format.pixel_format); ++plane)
    part.data[plane] += size_t{top / 2} * frame.stride[plane] + (nv12 ? left : left / 2);
  return part;
}

}  // namespace framebus::test
