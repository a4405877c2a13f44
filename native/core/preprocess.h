// A frame's planes -> a model's input tensor, in one pass.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "frame_view.h"
#include "preprocess_rows.h"

namespace framebus {

enum class Resize { kStretch, kLetterbox };
enum class Anchor { kCenter, kTopLeft };
enum class ColorOrder { kRgb, kBgr };
enum class TensorLayout { kNchw, kNhwc };

// How a frame becomes a model's input; fields as in contract.ts.
struct PreprocessSpec {
  uint32_t width = 0;   // Network pixels, at least 1.
  uint32_t height = 0;  // Network pixels, at least 1.
  Resize resize = Resize::kStretch;
  Anchor anchor = Anchor::kCenter;
  float pad_value = 114;  // 0-255, before normalisation.
  ColorOrder color_order = ColorOrder::kRgb;
  TensorLayout layout = TensorLayout::kNchw;
  std::array<float, 3> mean{0, 0, 0};   // In color_order, in levels 0-255.
  std::array<float, 3> scale{1, 1, 1};  // In color_order.
};

// From network pixels back to frame pixels: frame = (net - offset) / scale.
struct PreprocessGeometry {
  double scale_x = 1;
  double scale_y = 1;
  double offset_x = 0;
  double offset_y = 0;
};

// Where the resized picture lies in the network's input, in network pixels.
struct PicturePlacement {
  uint32_t left = 0;
  uint32_t top = 0;
  uint32_t width = 0;   // At least 1.
  uint32_t height = 0;  // At least 1.
  PreprocessGeometry geometry;
};

// Letterboxing follows the upstream conventions, rounding included:
// r = min(W / w, H / h);
// center (Ultralytics): picture round(w r) x round(h r), half to even, lying
//   at round((W - w') / 2 - 0.1) and the same for the top;
// top-left (YOLOX): picture int(w r) x int(h r), lying at 0, 0.
// Both map back with r itself, as upstream does.
PicturePlacement place_picture(uint32_t frame_width, uint32_t frame_height,
                               const PreprocessSpec& spec);

// From a format's Y, U and V to R, G and B.
rows::ColorCoefficients color_coefficients(const FrameFormat& format);

// Floats in one frame's tensor.
constexpr size_t tensor_size(const PreprocessSpec& spec) {
  return size_t{3} * spec.width * spec.height;
}

// Writes tensor_size(spec) floats. Every network pixel of the picture takes its
// sample at frame position (x + 0.5) * w / w' - 0.5 (cv2.INTER_LINEAR: half-pixel
// centres, edges repeated, no antialiasing), bilinearly and separately from
// each plane. Chroma is sited as MPEG-2 and H.264 have it by default: in line
// with every other luma column, half-way between two luma rows. R, G and B are
// clamped to 0-255 and not rounded; network value = (level - mean) * scale.
// Reads nothing outside of plane_row_bytes x plane_rows of each plane.
PreprocessGeometry preprocess(const FrameView& frame, const PreprocessSpec& spec, float* tensor);

// The same with chosen inner loops, so that each can be tested and measured.
PreprocessGeometry preprocess_with(const rows::Kernels& kernels, const FrameView& frame,
                                   const PreprocessSpec& spec, float* tensor);

}  // namespace framebus
