// What is in a part of a picture, made unrecognisable.
#pragma once

#include <cstddef>
#include <cstdint>

#include "label_placement.h"

namespace framebus {

// The parts of an area whose means are left of it.
struct BlurGrid {
  int32_t columns = 1;
  int32_t rows = 1;
};

// At most four parts to a side, and none smaller than 8 pixels. Sides are at least 1.
BlurGrid blur_grid(int32_t width, int32_t height);

// An area of the samples of one channel: of a plane, or of every other byte of one.
struct BlurSamples {
  uint8_t* data;  // Borrowed. Of the channel's first sample.
  uint32_t stride;
  int32_t step;    // Bytes from sample to sample.
  PixelRect area;  // In samples, within the channel, at least one for each part of the grid.

  uint8_t* row(int32_t y) const {
    return data + static_cast<size_t>(y) * stride + static_cast<size_t>(step * area.left);
  }
};

// Nothing of the samples is left but the mean of each part, and what lies evenly between the
// means, so that there is no pattern of squares.
void blur_samples(const BlurSamples& samples, const BlurGrid& grid);

}  // namespace framebus
