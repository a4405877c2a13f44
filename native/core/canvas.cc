#include "canvas.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "blur.h"

namespace framebus {
namespace {

uint8_t to_byte(double value) {
  return static_cast<uint8_t>(std::clamp(std::lround(value), 0L, 255L));
}

// Chroma samples that a rectangle touches.
PixelRect halved(const PixelRect& rect) {
  return {rect.left / 2, rect.top / 2, (rect.right + 1) / 2, (rect.bottom + 1) / 2};
}

// In samples of chroma.
PixelPoint halved(PixelPoint point) { return {point.x / 2, point.y / 2}; }

// No point is further than 0.71 from the centre of a sample.
double chroma_radius(double radius) { return std::max(radius / 2, 0.71); }

// In 16 bits throughout, which the compiler makes wide.
uint8_t blend(uint8_t from, uint8_t to, uint8_t coverage) {
  const auto inverse = static_cast<uint16_t>(255 - coverage);
  const auto sum = static_cast<uint16_t>(from * inverse + to * coverage + 128);
  return static_cast<uint8_t>(static_cast<uint16_t>(sum + (sum >> 8)) >> 8);  // sum / 255, rounded.
}

// The same with a colour that does not change, in parts of 256.
class Tint {
 public:
  Tint(uint8_t color, uint8_t strength)
      : inverse_(static_cast<uint16_t>(256 - strength)),
        added_(static_cast<uint16_t>(color * strength + 128)) {}
  uint8_t operator()(uint8_t from) const {
    return static_cast<uint8_t>(static_cast<uint16_t>(from * inverse_ + added_) >> 8);
  }

 private:
  const uint16_t inverse_;
  const uint16_t added_;
};

size_t offset(int32_t row, uint32_t stride, int32_t column) {
  return static_cast<size_t>(row) * stride + static_cast<size_t>(column);
}

// First sample whose centre, at its half, is not before `edge`; at most `samples`.
int32_t sample_at(double edge, int32_t samples) {
  return static_cast<int32_t>(std::clamp(std::ceil(edge - 0.5), 0.0, samples + 0.0));
}

// Where a row of samples crosses a shape; left is greater than right where it does not.
struct Crossing {
  double left = std::numeric_limits<double>::infinity();
  double right = -std::numeric_limits<double>::infinity();

  void add(double x) {
    left = std::min(left, x);
    right = std::max(right, x);
  }
};

void cross_circle(PixelPoint centre, double radius, double row, Crossing& crossing) {
  const double down = row - centre.y;
  if (std::abs(down) > radius) return;
  const double half = std::sqrt(radius * radius - down * down);
  crossing.add(centre.x - half);
  crossing.add(centre.x + half);
}

void cross_edge(PixelPoint from, PixelPoint to, double row, Crossing& crossing) {
  if ((from.y <= row) == (to.y <= row)) return;
  crossing.add(from.x + (to.x - from.x) * ((row - from.y) / (to.y - from.y)));
}

enum class LineEnd { kRound, kStraight };

// Samples within `radius` of a line, row by row: `paint(row, left, right)`.
template <class Paint>
void scan_line(PixelPoint from, PixelPoint to, double radius, LineEnd end, int32_t width,
               int32_t height, Paint&& paint) {
  const double length = std::hypot(to.x - from.x, to.y - from.y);
  // Across the line, to either side.
  const double over = length > 0 ? (from.y - to.y) / length * radius : 0;
  const double down = length > 0 ? (to.x - from.x) / length * radius : 0;
  const std::array<PixelPoint, 4> corners{{{from.x + over, from.y + down},
                                           {to.x + over, to.y + down},
                                           {to.x - over, to.y - down},
                                           {from.x - over, from.y - down}}};
  const int32_t bottom = sample_at(std::max(from.y, to.y) + radius, height);
  for (int32_t row = sample_at(std::min(from.y, to.y) - radius, height); row < bottom; ++row) {
    Crossing crossing;
    if (end == LineEnd::kRound) {
      cross_circle(from, radius, row + 0.5, crossing);
      cross_circle(to, radius, row + 0.5, crossing);
    }
    for (size_t i = 0; i < corners.size(); ++i) {
      cross_edge(corners[i], corners[(i + 1) % corners.size()], row + 0.5, crossing);
    }
    if (crossing.left > crossing.right) continue;
    const int32_t left = sample_at(crossing.left, width);
    const int32_t right = sample_at(crossing.right, width);
    if (left < right) paint(row, left, right);
  }
}

}  // namespace

Yuv to_yuv(uint32_t rgb, const FrameFormat& format) {
  const double r = (rgb >> 16) & 0xFF;
  const double g = (rgb >> 8) & 0xFF;
  const double b = rgb & 0xFF;
  const bool bt709 = format.matrix == ColorMatrix::kBt709;
  const double kr = bt709 ? 0.2126 : 0.299;
  const double kb = bt709 ? 0.0722 : 0.114;
  const double luma = kr * r + (1 - kr - kb) * g + kb * b;
  const double u = (b - luma) / (2 * (1 - kb));
  const double v = (r - luma) / (2 * (1 - kr));
  if (format.range == ColorRange::kFull) return {to_byte(luma), to_byte(u + 128), to_byte(v + 128)};
  return {to_byte(luma * 219 / 255 + 16), to_byte(u * 224 / 255 + 128),
          to_byte(v * 224 / 255 + 128)};
}

PixelRect clipped(const PixelRect& rect, int32_t width, int32_t height) {
  return {std::max(rect.left, 0), std::max(rect.top, 0), std::min(rect.right, width),
          std::min(rect.bottom, height)};
}

Canvas::Canvas(const MutableFrame& frame)
    : frame_(frame),
      width_(static_cast<int32_t>(frame.format.width)),
      height_(static_cast<int32_t>(frame.format.height)) {}

uint8_t* Canvas::at(size_t plane, int32_t byte, int32_t row) const {
  return frame_.data[plane] + offset(row, frame_.stride[plane], byte);
}

void Canvas::fill_chroma(int32_t row, int32_t left, int32_t right, const Yuv& color) const {
  const auto count = static_cast<size_t>(right - left);
  if (nv12()) {
    uint8_t* uv = at(1, 2 * left, row);
    for (size_t i = 0; i < count; ++i) {
      uv[2 * i] = color.u;
      uv[2 * i + 1] = color.v;
    }
  } else {
    std::memset(at(1, left, row), color.u, count);
    std::memset(at(2, left, row), color.v, count);
  }
}

void Canvas::fill(const PixelRect& rect, const Yuv& color) const {
  const PixelRect area = clipped(rect, width_, height_);
  if (area.width() <= 0 || area.height() <= 0) return;
  for (int32_t y = area.top; y < area.bottom; ++y) {
    std::memset(at(0, area.left, y), color.y, static_cast<size_t>(area.width()));
  }
  const PixelRect chroma = halved(area);
  for (int32_t y = chroma.top; y < chroma.bottom; ++y) {
    fill_chroma(y, chroma.left, chroma.right, color);
  }
}

void Canvas::stamp(const PixelRect& place, const LabelMask& mask, const Yuv& plate,
                   const Yuv& text) const {
  const PixelRect area = clipped(place, width_, height_);
  if (area.width() <= 0 || area.height() <= 0) return;
  for (int32_t y = area.top; y < area.bottom; ++y) {
    const uint8_t* coverage = &mask.full[offset(y - place.top, mask.width, area.left - place.left)];
    uint8_t* __restrict out = at(0, area.left, y);
    for (int32_t i = 0; i < area.width(); ++i) out[i] = blend(plate.y, text.y, coverage[i]);
  }
  const PixelRect chroma = halved(area);
  for (int32_t y = chroma.top; y < chroma.bottom; ++y) {
    const uint8_t* coverage =
        &mask.half[offset(y - place.top / 2, mask.width / 2, chroma.left - place.left / 2)];
    const int32_t step = nv12() ? 2 : 1;
    uint8_t* u = at(1, step * chroma.left, y);
    uint8_t* v = nv12() ? u + 1 : at(2, chroma.left, y);
    for (int32_t i = 0; i < chroma.width(); ++i) {
      u[step * i] = blend(plate.u, text.u, coverage[i]);
      v[step * i] = blend(plate.v, text.v, coverage[i]);
    }
  }
}

void Canvas::dot(double x, double y, double radius, const Yuv& color) const {
  line({x, y}, {x, y}, radius, color);
}

void Canvas::line(PixelPoint from, PixelPoint to, double radius, const Yuv& color) const {
  scan_line(from, to, radius, LineEnd::kRound, width_, height_,
            [&](int32_t row, int32_t left, int32_t right) {
              std::memset(at(0, left, row), color.y, static_cast<size_t>(right - left));
            });
  scan_line(halved(from), halved(to), chroma_radius(radius), LineEnd::kRound, chroma_width(),
            chroma_height(), [&](int32_t row, int32_t left, int32_t right) {
              fill_chroma(row, left, right, color);
            });
}

void Canvas::faint_line(PixelPoint from, PixelPoint to, double radius, const Yuv& color,
                        uint8_t strength) const {
  scan_line(from, to, radius, LineEnd::kStraight, width_, height_,
            [&](int32_t row, int32_t left, int32_t right) {
              tint_luma(row, left, right, color.y, strength);
            });
  scan_line(halved(from), halved(to), chroma_radius(radius), LineEnd::kStraight, chroma_width(),
            chroma_height(), [&](int32_t row, int32_t left, int32_t right) {
              tint_chroma(row, left, right, color, strength);
            });
}

void Canvas::blur(const PixelRect& rect) const {
  const PixelRect area = clipped(rect, width_, height_);
  if (area.width() <= 0 || area.height() <= 0) return;
  const BlurGrid grid = blur_grid(area.width(), area.height());
  const PixelRect chroma = halved(area);
  blur_samples({frame_.data[0], frame_.stride[0], 1, area}, grid);
  if (nv12()) {
    blur_samples({frame_.data[1], frame_.stride[1], 2, chroma}, grid);
    blur_samples({frame_.data[1] + 1, frame_.stride[1], 2, chroma}, grid);
  } else {
    blur_samples({frame_.data[1], frame_.stride[1], 1, chroma}, grid);
    blur_samples({frame_.data[2], frame_.stride[2], 1, chroma}, grid);
  }
}

void Canvas::tint_luma(int32_t y, int32_t left, int32_t right, uint8_t color,
                       uint8_t strength) const {
  const Tint tint(color, strength);
  uint8_t* const pixels = at(0, left, y);
  for (int32_t i = 0; i < right - left; ++i) pixels[i] = tint(pixels[i]);
}

void Canvas::tint_chroma(int32_t y, int32_t left, int32_t right, const Yuv& color,
                         uint8_t strength) const {
  const Tint u_tint(color.u, strength);
  const Tint v_tint(color.v, strength);
  if (nv12()) {
    uint8_t* const uv = at(1, 2 * left, y);
    for (int32_t i = 0; i < right - left; ++i) {
      uv[2 * i] = u_tint(uv[2 * i]);
      uv[2 * i + 1] = v_tint(uv[2 * i + 1]);
    }
    return;
  }
  uint8_t* const u = at(1, left, y);
  for (int32_t i = 0; i < right - left; ++i) u[i] = u_tint(u[i]);
  uint8_t* const v = at(2, left, y);
  for (int32_t i = 0; i < right - left; ++i) v[i] = v_tint(v[i]);
}

}  // namespace framebus
