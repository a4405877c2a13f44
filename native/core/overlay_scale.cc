#include "overlay_scale.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace framebus {
namespace {

constexpr double kLegiblePx = 11;
// How far scaling mixes, in pixels of the larger of both pictures: one sample of chroma.
constexpr double kMixedPx = 2;

struct Scale {
  double across;
  double down;

  void place(std::vector<float>& xy) const {
    for (size_t i = 0; i < xy.size(); ++i)
      xy[i] = static_cast<float>(xy[i] * (i % 2 == 0 ? across : down));
  }
  template <class Area>
  void place(Area& area) const {
    area.x *= across;
    area.y *= down;
    area.width *= across;
    area.height *= down;
  }
  // Their sides may be negative; what is not finite stays so, and means the whole picture.
  void conceal(OverlayConcealed& area) const {
    place(area);
    if (!std::isfinite(area.x + area.width) || !std::isfinite(area.y + area.height)) return;
    const double right = std::max(area.x, area.x + area.width);
    const double bottom = std::max(area.y, area.y + area.height);
    const double beside = kMixedPx * std::max(across, 1.0);
    const double above = kMixedPx * std::max(down, 1.0);
    area.x = std::min(area.x, area.x + area.width) - beside;
    area.y = std::min(area.y, area.y + area.height) - above;
    area.width = right + beside - area.x;
    area.height = bottom + above - area.y;
  }
  uint32_t size(uint32_t px, double least) const {
    if (px == 0) return 0;
    const double wanted = px * std::min(across, down);
    return static_cast<uint32_t>(std::lround(std::max(wanted, std::min(least, px + 0.0))));
  }
};

}  // namespace

Overlay scaled(Overlay overlay, const FrameFormat& from, const FrameFormat& to) {
  const Scale scale{static_cast<double>(to.width) / from.width,
                    static_cast<double>(to.height) / from.height};
  for (OverlayConcealed& area : overlay.concealed) scale.conceal(area);
  for (OverlayMask& mask : overlay.masks) scale.place(mask);
  for (OverlayLine& line : overlay.lines) scale.place(line.xy);
  for (OverlayPoints& points : overlay.points) scale.place(points.xy);
  for (OverlayBox& box : overlay.boxes) scale.place(box);
  for (OverlayText& text : overlay.texts) {
    text.x *= scale.across;
    text.y *= scale.down;
  }
  overlay.line_width = scale.size(overlay.line_width, 2);
  overlay.font_px = scale.size(overlay.font_px, kLegiblePx);
  return overlay;
}

}  // namespace framebus
