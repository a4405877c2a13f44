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

// A part of the picture that is made unrecognisable.
struct OverlayConcealed {
  enum class With { kBlur, kFill };
  double x = 0;  // Pixels of the frame; may lie outside of it. Not finite: the whole picture.
  double y = 0;
  double width = 0;
  double height = 0;
  With with = With::kFill;
};

// A line from point to point, as thick as the outlines of boxes.
struct OverlayLine {
  std::vector<float> xy = {};  // x, y, x, y …: pixels of the frame; may lie outside of it.
  uint32_t color = 0;          // 0xRRGGBB.
  bool fades = false;          // Its first half comes out of nothing, point by point.
};

// A text on a plate.
struct OverlayText {
  double x = 0;  // Left upper corner, pixels of the frame; moved until the plate lies in it.
  double y = 0;
  std::string text = {};  // UTF-8; empty for none.
  uint32_t color = 0;     // Of the plate, 0xRRGGBB.
};

// Drawn in this order, the outlines' labels last of all.
struct Overlay {
  std::vector<OverlayConcealed> concealed = {};
  std::vector<OverlayMask> masks = {};
  std::vector<OverlayLine> lines = {};
  std::vector<OverlayPoints> points = {};
  std::vector<OverlayBox> boxes = {};
  std::vector<OverlayText> texts = {};
  uint32_t line_width = 0;  // Pixels; 0: by the size of the picture.
  uint32_t font_px = 0;     // The same.

  bool empty() const {
    return concealed.empty() && masks.empty() && lines.empty() && points.empty() && boxes.empty() &&
           texts.empty();
  }
};

}  // namespace framebus
