// Where the cells of a tiled picture lie.
#pragma once

#include <cstdint>

#include "frame_view.h"
#include "label_placement.h"

namespace framebus {

// Cells of one size, row by row from the top left.
class TileGrid {
 public:
  // For so many cells in a picture of `width` x `height`. columns 0: as many as make pictures
  // of 16:9 largest.
  TileGrid(uint32_t cells, uint32_t columns, uint32_t width, uint32_t height);

  uint32_t columns() const { return columns_; }
  uint32_t rows() const { return rows_; }
  // On even pixels; empty where the cells are too many for the picture.
  PixelRect place(uint32_t cell) const;

 private:
  uint32_t columns_;
  uint32_t rows_;
  uint32_t width_;
  uint32_t height_;
};

// The largest part of a place that has the shape of a picture, its pixels' shape included:
// in the middle, on even pixels.
PixelRect letterboxed(const PixelRect& place, const FrameFormat& picture);

}  // namespace framebus
