// Boxes and labels, drawn straight onto 4:2:0 planes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "frame_view.h"
#include "label.h"

namespace framebus {

// One picture to draw on. The pixels are borrowed, and written by one thread at a time.
struct MutableFrame {
  FrameFormat format;
  std::array<uint8_t*, kMaxPlanes> data{};  // Borrowed.
  std::array<uint32_t, kMaxPlanes> stride{};
};

// One box; fields as in contract.ts.
struct OverlayBox {
  double x = 0;  // Pixels of the frame; may lie outside of it.
  double y = 0;
  double width = 0;
  double height = 0;
  std::string label;   // UTF-8; empty for none.
  uint32_t color = 0;  // 0xRRGGBB.
};

// Outline and font size for a picture; both grow with its shorter side.
struct OverlayStyle {
  uint32_t outline = 2;  // Pixels, even: outlines lie on whole chroma samples.
  uint32_t font_px = 12;
};
OverlayStyle overlay_style(uint32_t width, uint32_t height);

// Draws all outlines, then all labels on top. Outlines lie inside of their
// boxes; labels lie above them, or elsewhere when there is no room, and out of
// each other's way as far as they can. Boxes that are not finite or have no
// area are left out. Thread-safe for different frames.
void draw_boxes(const MutableFrame& frame, std::span<const OverlayBox> boxes, LabelCache& labels);

}  // namespace framebus
