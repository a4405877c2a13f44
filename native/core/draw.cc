#include "draw.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "label_placement.h"

namespace framebus {
namespace {

struct Yuv {
  uint8_t y, u, v;
};

uint8_t to_byte(double value) {
  return static_cast<uint8_t>(std::clamp(std::lround(value), 0L, 255L));
}

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

// Black or white, whichever has the higher contrast (WCAG) with the colour.
uint32_t text_color(uint32_t rgb) {
  const auto linear = [](uint32_t byte) {
    const double c = byte / 255.0;
    return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
  };
  const double luminance = 0.2126 * linear((rgb >> 16) & 0xFF) +
                           0.7152 * linear((rgb >> 8) & 0xFF) + 0.0722 * linear(rgb & 0xFF);
  const double with_white = 1.05 / (luminance + 0.05);
  const double with_black = (luminance + 0.05) / 0.05;
  return with_black >= with_white ? 0x000000 : 0xFFFFFF;
}

PixelRect clipped(const PixelRect& rect, int32_t width, int32_t height) {
  return {std::max(rect.left, 0), std::max(rect.top, 0), std::min(rect.right, width),
          std::min(rect.bottom, height)};
}

// Chroma samples of a rectangle that starts at even coordinates.
PixelRect halved(const PixelRect& rect) {
  return {rect.left / 2, rect.top / 2, (rect.right + 1) / 2, (rect.bottom + 1) / 2};
}

// In 16 bits throughout, which the compiler makes wide.
uint8_t blend(uint8_t from, uint8_t to, uint8_t coverage) {
  const auto inverse = static_cast<uint16_t>(255 - coverage);
  const auto sum = static_cast<uint16_t>(from * inverse + to * coverage + 128);
  return static_cast<uint8_t>(static_cast<uint16_t>(sum + (sum >> 8)) >> 8);  // sum / 255, rounded.
}

// The planes of one picture, with clipping.
class Canvas {
 public:
  explicit Canvas(const MutableFrame& frame)
      : frame_(frame),
        width_(static_cast<int32_t>(frame.format.width)),
        height_(static_cast<int32_t>(frame.format.height)) {}

  int32_t width() const { return width_; }
  int32_t height() const { return height_; }

  // Left and top of `rect` are even.
  void fill(const PixelRect& rect, const Yuv& color) const {
    const PixelRect area = clipped(rect, width_, height_);
    if (area.width() <= 0 || area.height() <= 0) return;
    for (int32_t y = area.top; y < area.bottom; ++y) {
      std::memset(at(0, area.left, y), color.y, static_cast<size_t>(area.width()));
    }
    const PixelRect chroma = halved(area);
    const size_t count = static_cast<size_t>(chroma.width());
    for (int32_t y = chroma.top; y < chroma.bottom; ++y) {
      if (nv12()) {
        uint8_t* uv = at(1, 2 * chroma.left, y);
        for (size_t i = 0; i < count; ++i) {
          uv[2 * i] = color.u;
          uv[2 * i + 1] = color.v;
        }
      } else {
        std::memset(at(1, chroma.left, y), color.u, count);
        std::memset(at(2, chroma.left, y), color.v, count);
      }
    }
  }

  // Paints a label's plate and text with its left upper corner at `place`.
  void stamp(const PixelRect& place, const LabelMask& mask, const Yuv& plate,
             const Yuv& text) const {
    const PixelRect area = clipped(place, width_, height_);
    if (area.width() <= 0 || area.height() <= 0) return;
    for (int32_t y = area.top; y < area.bottom; ++y) {
      const uint8_t* coverage =
          &mask.full[offset(y - place.top, mask.width, area.left - place.left)];
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

 private:
  bool nv12() const { return frame_.format.pixel_format == PixelFormat::kNv12; }

  static size_t offset(int32_t row, uint32_t stride, int32_t column) {
    return static_cast<size_t>(row) * stride + static_cast<size_t>(column);
  }

  uint8_t* at(size_t plane, int32_t byte, int32_t row) const {
    return frame_.data[plane] + offset(row, frame_.stride[plane], byte);
  }

  const MutableFrame& frame_;
  const int32_t width_;
  const int32_t height_;
};

constexpr double kFar = 1 << 20;  // Beyond any picture, within int32_t.

// Whole chroma samples: a label or line that covers half of one would bleed.
PixelRect snapped(const OverlayBox& box) {
  const auto even = [](double value) {
    return static_cast<int32_t>(std::lround(std::clamp(value, -kFar, kFar) / 2)) * 2;
  };
  const PixelRect rect{even(box.x), even(box.y), even(box.x + box.width), even(box.y + box.height)};
  return {rect.left, rect.top, std::max(rect.right, rect.left + 2),
          std::max(rect.bottom, rect.top + 2)};
}

bool drawable(const OverlayBox& box) {
  return std::isfinite(box.x) && std::isfinite(box.y) && std::isfinite(box.width) &&
         std::isfinite(box.height) && box.width > 0 && box.height > 0;
}

void draw_outline(const Canvas& canvas, const PixelRect& box, int32_t line, const Yuv& color) {
  const int32_t top = std::min(box.top + line, box.bottom);
  const int32_t bottom = std::max(box.bottom - line, top);
  canvas.fill({box.left, box.top, box.right, top}, color);
  canvas.fill({box.left, bottom, box.right, box.bottom}, color);
  canvas.fill({box.left, top, std::min(box.left + line, box.right), bottom}, color);
  canvas.fill({std::max(box.right - line, box.left), top, box.right, bottom}, color);
}

struct Label {
  std::shared_ptr<const LabelMask> mask;
  uint32_t color;
};

}  // namespace

OverlayStyle overlay_style(uint32_t width, uint32_t height) {
  const uint32_t side = std::min(width, height);
  return {.outline = 2 * std::max(1U, (side + 360) / 720), .font_px = std::max(11U, side / 42)};
}

void draw_boxes(const MutableFrame& frame, std::span<const OverlayBox> boxes, LabelCache& labels) {
  const Canvas canvas(frame);
  const OverlayStyle style = overlay_style(frame.format.width, frame.format.height);
  std::vector<Label> shown;
  std::vector<LabelRequest> requests;
  for (const OverlayBox& box : boxes) {
    if (!drawable(box)) continue;
    const PixelRect rect = snapped(box);
    draw_outline(canvas, rect, static_cast<int32_t>(style.outline),
                 to_yuv(box.color, frame.format));
    const PixelRect seen = clipped(rect, canvas.width(), canvas.height());
    if (box.label.empty() || seen.width() <= 0 || seen.height() <= 0) continue;
    auto mask = labels.mask(box.label, style.font_px, frame.format.width);
    if (!mask) continue;
    requests.push_back(
        {seen, static_cast<int32_t>(mask->width), static_cast<int32_t>(mask->height)});
    shown.push_back({std::move(mask), box.color});
  }
  const std::vector<PixelRect> plates = place_labels(requests, canvas.width(), canvas.height());
  for (size_t i = 0; i < shown.size(); ++i) {
    canvas.stamp(plates[i], *shown[i].mask, to_yuv(shown[i].color, frame.format),
                 to_yuv(text_color(shown[i].color), frame.format));
  }
}

}  // namespace framebus
