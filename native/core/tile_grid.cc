#include "tile_grid.h"

#include <algorithm>
#include <cmath>

namespace framebus {
namespace {

// Between cells.
constexpr uint32_t kGap = 2;
// Smaller ones show nothing.
constexpr uint32_t kLeastSide = 16;

uint32_t rows_of(uint32_t cells, uint32_t columns) { return (cells + columns - 1) / columns; }

uint32_t best_columns(uint32_t cells, uint32_t width, uint32_t height) {
  uint32_t best = 1;
  double best_scale = 0;
  for (uint32_t columns = 1; columns <= cells; ++columns) {
    const uint32_t rows = rows_of(cells, columns);
    const double scale = std::min(width / (16.0 * columns), height / (9.0 * rows));
    // Of two that are as good the one with the higher cells, which suits 4:3 as well.
    if (scale < best_scale) continue;
    best_scale = scale;
    best = columns;
  }
  return best;
}

int32_t even(double value) { return static_cast<int32_t>(value / 2) * 2; }

}  // namespace

TileGrid::TileGrid(uint32_t cells, uint32_t columns, uint32_t width, uint32_t height)
    : columns_(columns != 0 ? columns : best_columns(std::max(cells, 1U), width, height)),
      rows_(std::max(rows_of(cells, columns_), 1U)),
      width_(width),
      height_(height) {}

PixelRect TileGrid::place(uint32_t cell) const {
  const uint32_t wide = width_ / columns_ & ~1U;
  const uint32_t high = height_ / rows_ & ~1U;
  if (wide < kLeastSide || high < kLeastSide) return {};
  const auto left = static_cast<int32_t>(cell % columns_ * wide);
  const auto top = static_cast<int32_t>(cell / columns_ * high);
  const uint32_t gap_x = columns_ > 1 ? kGap : 0;
  const uint32_t gap_y = rows_ > 1 ? kGap : 0;
  return {left, top, left + static_cast<int32_t>(wide - gap_x),
          top + static_cast<int32_t>(high - gap_y)};
}

PixelRect letterboxed(const PixelRect& place, const FrameFormat& picture) {
  const double wide = double(picture.width) * std::max(picture.pixel_aspect_numerator, 1U);
  const double high = double(picture.height) * std::max(picture.pixel_aspect_denominator, 1U);
  const double scale = std::min(place.width() / wide, place.height() / high);
  const int32_t width = std::clamp(even(std::round(wide * scale)), 2, place.width());
  const int32_t height = std::clamp(even(std::round(high * scale)), 2, place.height());
  const int32_t left = place.left + even((place.width() - width) / 2.0);
  const int32_t top = place.top + even((place.height() - height) / 2.0);
  return {left, top, left + width, top + height};
}

}  // namespace framebus
