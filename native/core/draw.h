// Concealed areas, masks, lines, points, boxes, texts and labels, drawn straight onto 4:2:0 planes.
#pragma once

#include <cstdint>

#include "canvas.h"
#include "label.h"
#include "overlay.h"

namespace framebus {

// Outline and font size for a picture; both grow with its shorter side.
struct OverlayStyle {
  uint32_t outline = 2;  // Pixels, even: outlines lie on whole chroma samples. Radius of points.
  uint32_t font_px = 12;
};
OverlayStyle overlay_style(uint32_t width, uint32_t height);
// The same with what the overlay asks for; its line width is rounded up to an even one.
OverlayStyle overlay_style(const FrameFormat& format, const Overlay& overlay);

// Conceals, then draws masks, lines, points, the masks' names, then all outlines, then texts,
// then all labels on top. Outlines lie inside of their boxes, and are half as thick for parts;
// labels lie above their boxes, or elsewhere when there is no room, and out of each other's
// and of the texts' way as far as they can. What is not finite or has no area is left out,
// except that an area to conceal that is not finite is the whole picture.
// Thread-safe for different frames.
void draw_overlay(const MutableFrame& frame, const Overlay& overlay, LabelCache& labels);

}  // namespace framebus
