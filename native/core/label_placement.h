// Where labels go, so that they stay readable.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace framebus {

// Pixels from (left, top) up to but without (right, bottom).
struct PixelRect {
  int32_t left = 0;
  int32_t top = 0;
  int32_t right = 0;
  int32_t bottom = 0;

  int32_t width() const { return right - left; }
  int32_t height() const { return bottom - top; }
};

struct LabelRequest {
  PixelRect box;       // What of it lies in the picture.
  int32_t width = 0;   // Of the plate; even.
  int32_t height = 0;  // Even.
};

// A plate for each request, at even coordinates, in the picture as far as it
// fits: above its box if there is room, else inside at the top (in small boxes:
// below), else at other places that touch the box, else a few steps off it. It
// is the first place that is clear of `taken` and of the plates placed before,
// else the one that covers least of them. Boxes are served from top to bottom whatever their
// order, so that labels do not jump when it changes.
std::vector<PixelRect> place_labels(std::span<const LabelRequest> requests, int32_t picture_width,
                                    int32_t picture_height, std::span<const PixelRect> taken = {});

}  // namespace framebus
