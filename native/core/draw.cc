#include "draw.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "draw_mask.h"
#include "label_placement.h"

namespace framebus {
namespace {

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

constexpr uint32_t kConcealedColor = 0x000000;
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

// Chroma samples that the area touches go whole, and nothing is left out for being odd.
PixelRect covering(const OverlayConcealed& area, const Canvas& canvas) {
  const double right = area.x + area.width;
  const double bottom = area.y + area.height;
  if (!std::isfinite(right) || !std::isfinite(bottom) || !std::isfinite(area.x) ||
      !std::isfinite(area.y)) {
    return {0, 0, canvas.width(), canvas.height()};
  }
  const auto before = [](double value) {
    return static_cast<int32_t>(std::floor(std::clamp(value, -kFar, kFar) / 2)) * 2;
  };
  const auto after = [&before](double value) { return -before(-value); };
  return {before(std::min(area.x, right)), before(std::min(area.y, bottom)),
          after(std::max(area.x, right)), after(std::max(area.y, bottom))};
}

void conceal(const Canvas& canvas, const OverlayConcealed& area) {
  const PixelRect rect = covering(area, canvas);
  if (area.with == OverlayConcealed::With::kBlur) {
    canvas.blur(rect);
  } else {
    canvas.fill(rect, canvas.color(kConcealedColor));
  }
}

// Of 256, of one part of a line that fades: the first half goes up to all of it.
size_t fading_strength(size_t part, size_t parts) {
  return std::min<size_t>(256, 512 * (part + 1) / parts);
}

void draw_line(const Canvas& canvas, const OverlayLine& line, double radius) {
  const Yuv color = canvas.color(line.color);
  const size_t parts = line.xy.size() / 2 - 1;
  for (size_t i = 0; i + 3 < line.xy.size(); i += 2) {
    const PixelPoint from{line.xy[i], line.xy[i + 1]};
    const PixelPoint to{line.xy[i + 2], line.xy[i + 3]};
    if (std::isfinite(from.x) && std::isfinite(from.y) && std::isfinite(to.x) &&
        std::isfinite(to.y)) {
      const size_t strength = line.fades ? fading_strength(i / 2, parts) : 256;
      if (strength < 256) {
        canvas.faint_line(from, to, radius, color, static_cast<uint8_t>(strength));
      } else {
        canvas.line(from, to, radius, color);
      }
    }
  }
}

void draw_points(const Canvas& canvas, const OverlayPoints& points, double radius) {
  const Yuv color = canvas.color(points.color);
  for (size_t i = 0; i + 1 < points.xy.size(); i += 2) {
    const double x = points.xy[i];
    const double y = points.xy[i + 1];
    if (std::isfinite(x) && std::isfinite(y)) canvas.dot(x, y, radius, color);
  }
}

void draw_outlines(const Canvas& canvas, std::span<const OverlayBox> boxes,
                   const OverlayStyle& style) {
  for (const OverlayBox& box : boxes) {
    if (!drawable(box)) continue;
    const uint32_t line = box.part ? style.outline / 2 : style.outline;
    draw_outline(canvas, snapped(box), static_cast<int32_t>(line), canvas.color(box.color));
  }
}

// `taken`: where texts are, which labels should not hide.
void draw_labels(const Canvas& canvas, std::span<const OverlayBox> boxes, const OverlayStyle& style,
                 LabelCache& labels, std::span<const PixelRect> taken) {
  std::vector<Label> shown;
  std::vector<LabelRequest> requests;
  for (const OverlayBox& box : boxes) {
    if (!drawable(box) || box.label.empty()) continue;
    const PixelRect seen = clipped(snapped(box), canvas.width(), canvas.height());
    if (seen.width() <= 0 || seen.height() <= 0) continue;
    auto mask = labels.mask(box.label, style.font_px, static_cast<uint32_t>(canvas.width()));
    if (!mask) continue;
    requests.push_back(
        {seen, static_cast<int32_t>(mask->width), static_cast<int32_t>(mask->height)});
    shown.push_back({std::move(mask), box.color});
  }
  const std::vector<PixelRect> plates =
      place_labels(requests, canvas.width(), canvas.height(), taken);
  for (size_t i = 0; i < shown.size(); ++i) {
    canvas.stamp(plates[i], *shown[i].mask, canvas.color(shown[i].color),
                 canvas.color(text_color(shown[i].color)));
  }
}

// The names of the masks' classes, one above the other in the lower left corner,
// where they stay from frame to frame; what has no room is left out.
void draw_legend(const Canvas& canvas, std::span<const OverlayMask> masks,
                 const OverlayStyle& style, LabelCache& labels) {
  int32_t bottom = canvas.height() & ~1;
  for (auto mask = masks.rbegin(); mask != masks.rend(); ++mask) {
    const auto text =
        labels.mask(mask->label, style.font_px, static_cast<uint32_t>(canvas.width()));
    if (!text) continue;
    const auto [width, height] =
        std::pair(static_cast<int32_t>(text->width), static_cast<int32_t>(text->height));
    if (height > bottom) return;
    canvas.stamp({0, bottom - height, width, bottom}, *text, canvas.color(mask->color),
                 canvas.color(text_color(mask->color)));
    bottom -= height;
  }
}

// Where a text goes: into the picture, and below those that are there already.
PixelRect text_place(const OverlayText& text, const LabelMask& mask, const Canvas& canvas,
                     std::span<const PixelRect> taken) {
  const auto width = static_cast<int32_t>(mask.width);
  const auto height = static_cast<int32_t>(mask.height);
  const auto even = [](double value, int32_t last) {
    return static_cast<int32_t>(std::clamp(value, 0.0, std::max(last, 0) + 0.0)) & ~1;
  };
  const int32_t left = even(text.x, canvas.width() - width);
  const int32_t last = (canvas.height() - height) & ~1;
  PixelRect place{left, even(text.y, last), left + width, 0};
  for (const PixelRect& other : taken) {
    const bool over = place.left < other.right && other.left < place.right &&
                      place.top < other.bottom && other.top < place.top + height;
    if (over) place.top = other.bottom;
  }
  place.bottom = place.top + height;
  return place;
}

// Where they lie; what has no room below another one is left out.
std::vector<PixelRect> draw_texts(const Canvas& canvas, std::span<const OverlayText> texts,
                                  const OverlayStyle& style, LabelCache& labels) {
  std::vector<PixelRect> taken;
  for (const OverlayText& text : texts) {
    if (!std::isfinite(text.x) || !std::isfinite(text.y)) continue;
    const auto mask = labels.mask(text.text, style.font_px, static_cast<uint32_t>(canvas.width()));
    if (!mask) continue;
    const PixelRect place = text_place(text, *mask, canvas, taken);
    if (place.top > 0 && place.bottom > canvas.height()) continue;
    canvas.stamp(place, *mask, canvas.color(text.color), canvas.color(text_color(text.color)));
    taken.push_back(place);
  }
  return taken;
}

}  // namespace

OverlayStyle overlay_style(uint32_t width, uint32_t height) {
  const uint32_t side = std::min(width, height);
  return {.outline = 2 * std::max(1U, (side + 360) / 720), .font_px = std::max(11U, side / 42)};
}

OverlayStyle overlay_style(const FrameFormat& format, const Overlay& overlay) {
  OverlayStyle style = overlay_style(format.width, format.height);
  const uint32_t most = std::max(format.width, format.height);
  if (overlay.line_width > 0) style.outline = (std::min(overlay.line_width, most) + 1) & ~1U;
  if (overlay.font_px > 0) style.font_px = std::min(overlay.font_px, most);
  return style;
}

void draw_overlay(const MutableFrame& frame, const Overlay& overlay, LabelCache& labels) {
  const Canvas canvas(frame);
  const OverlayStyle style = overlay_style(frame.format, overlay);
  for (const OverlayConcealed& area : overlay.concealed) conceal(canvas, area);
  for (const OverlayMask& mask : overlay.masks) draw_mask(canvas, mask);
  for (const OverlayLine& line : overlay.lines) draw_line(canvas, line, style.outline / 2.0);
  for (const OverlayPoints& points : overlay.points) draw_points(canvas, points, style.outline);
  draw_legend(canvas, overlay.masks, style, labels);
  draw_outlines(canvas, overlay.boxes, style);
  const std::vector<PixelRect> texts = draw_texts(canvas, overlay.texts, style, labels);
  draw_labels(canvas, overlay.boxes, style, labels, texts);
}

}  // namespace framebus
