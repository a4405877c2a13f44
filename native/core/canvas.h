// The planes of one picture to draw on, with clipping.
#pragma once

#include <array>
#include <cstdint>

#include "frame_view.h"
#include "label.h"
#include "label_placement.h"

namespace framebus {

// One picture to draw on. The pixels are borrowed, and written by one thread at a time.
struct MutableFrame {
  FrameFormat format;
  std::array<uint8_t*, kMaxPlanes> data{};  // Borrowed.
  std::array<uint32_t, kMaxPlanes> stride{};
};

struct Yuv {
  uint8_t y = 0, u = 0, v = 0;
};

// 0xRRGGBB by the frame's matrix and range.
Yuv to_yuv(uint32_t rgb, const FrameFormat& format);

struct PixelPoint {
  double x = 0, y = 0;
};

// What of a rectangle lies in a picture; empty or turned inside out if nothing does.
PixelRect clipped(const PixelRect& rect, int32_t width, int32_t height);

class Canvas {
 public:
  // The frame is borrowed.
  explicit Canvas(const MutableFrame& frame);

  int32_t width() const { return width_; }
  int32_t height() const { return height_; }
  int32_t chroma_width() const { return (width_ + 1) / 2; }
  int32_t chroma_height() const { return (height_ + 1) / 2; }
  Yuv color(uint32_t rgb) const { return to_yuv(rgb, frame_.format); }

  // Chroma samples that the rectangle touches are filled whole.
  void fill(const PixelRect& rect, const Yuv& color) const;

  // Paints a label's plate and text with its left upper corner at `place`,
  // which is even.
  void stamp(const PixelRect& place, const LabelMask& mask, const Yuv& plate,
             const Yuv& text) const;

  // A filled circle; at least one sample of chroma. Radius at least 1.
  void dot(double x, double y, double radius, const Yuv& color) const;

  // A straight line with round ends; at least one sample of chroma. Radius at least 1.
  void line(PixelPoint from, PixelPoint to, double radius, const Yuv& color) const;

  // The same, blended, and with ends that are cut off straight, so that lines one after the
  // other are even. `strength`: of 256.
  void faint_line(PixelPoint from, PixelPoint to, double radius, const Yuv& color,
                  uint8_t strength) const;

  // Leaves of the rectangle no more than the means of at most four by four equal parts, and
  // what lies evenly between them. `rect` is even. Chroma samples that it touches count whole.
  void blur(const PixelRect& rect) const;

  // Blends pixels from `left` up to but without `right` of a row, which lie in
  // the picture, with the colour. `strength`: of 256.
  void tint_luma(int32_t y, int32_t left, int32_t right, uint8_t color, uint8_t strength) const;
  // The same for chroma, in its own samples.
  void tint_chroma(int32_t y, int32_t left, int32_t right, const Yuv& color,
                   uint8_t strength) const;

 private:
  bool nv12() const { return frame_.format.pixel_format == PixelFormat::kNv12; }
  uint8_t* at(size_t plane, int32_t byte, int32_t row) const;
  void fill_chroma(int32_t row, int32_t left, int32_t right, const Yuv& color) const;

  const MutableFrame& frame_;  // Borrowed.
  const int32_t width_;
  const int32_t height_;
};

}  // namespace framebus
