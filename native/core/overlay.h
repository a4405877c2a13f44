// What is drawn on a picture; fields as in contract.ts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace framebus {

struct OverlayBox {
  double x = 0;  // Pixels of the frame; may lie outside of it.
  double y = 0;
  double width = 0;
  double height = 0;
  std::string label;   // UTF-8; empty for none.
  uint32_t color = 0;  // 0xRRGGBB.
  bool part = false;   // Of the object of another box: drawn thinner.
};

// Cells of a grid that lies over a part of the picture.
struct OverlayMask {
  double x = 0;  // Pixels of the frame; may lie outside of it.
  double y = 0;
  double width = 0;
  double height = 0;
  uint32_t columns = 0;
  uint32_t rows = 0;
  // Row by row from the top left: so many cells without the class, so many with it, and so on.
  std::vector<uint32_t> runs = {};
  std::string label = {};  // UTF-8; empty for none.
  uint32_t color = 0;      // 0xRRGGBB.
};

// Points of one object.
struct OverlayPoints {
  std::vector<float> xy = {};  // x, y, x, y …: pixels of the frame; may lie outside of it.
  uint32_t color = 0;          // 0xRRGGBB.
};

// Drawn in this order; labels last.
struct Overlay {
  std::vector<OverlayMask> masks = {};
  std::vector<OverlayPoints> points = {};
  std::vector<OverlayBox> boxes = {};

  bool empty() const { return masks.empty() && boxes.empty() && points.empty(); }
};

}  // namespace framebus
