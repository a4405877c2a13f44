// A picture in plain memory to draw on, for tests.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "core/canvas.h"

namespace framebus::test {

constexpr uint8_t kGrey = 128;
constexpr uint8_t kPadding = 77;  // Bytes between rows: never written.

// A grey picture whose rows have padding.
struct Picture {
  MutableFrame frame;
  std::array<std::vector<uint8_t>, kMaxPlanes> planes;

  Picture(uint32_t width, uint32_t height, PixelFormat format) {
    frame.format.width = width;
    frame.format.height = height;
    frame.format.pixel_format = format;
    for (uint32_t p = 0; p < plane_count(format); ++p) {
      const uint32_t row = plane_row_bytes(frame.format, p);
      frame.stride[p] = row + 5;
      planes[p].assign(size_t{frame.stride[p]} * plane_rows(frame.format, p), kPadding);
      for (size_t y = 0; y < plane_rows(frame.format, p); ++y) {
        std::fill_n(&planes[p][y * frame.stride[p]], row, kGrey);
      }
      frame.data[p] = planes[p].data();
    }
  }

  bool padding_untouched() const {
    for (uint32_t p = 0; p < plane_count(frame.format.pixel_format); ++p) {
      for (size_t i = 0; i < planes[p].size(); ++i) {
        if (i % frame.stride[p] >= plane_row_bytes(frame.format, p) && planes[p][i] != kPadding) {
          return false;
        }
      }
    }
    return true;
  }

  // Y, U, V at luma pixel (x, y).
  std::array<int, 3> at(uint32_t x, uint32_t y) const {
    const size_t cx = x / 2;
    const size_t row = size_t{y / 2} * frame.stride[1];
    const int luma = planes[0][size_t{y} * frame.stride[0] + x];
    if (frame.format.pixel_format == PixelFormat::kNv12) {
      return {luma, planes[1][row + 2 * cx], planes[1][row + 2 * cx + 1]};
    }
    return {luma, planes[1][row + cx], planes[2][row + cx]};
  }
};

constexpr std::array<int, 3> kUntouched{kGrey, kGrey, kGrey};

}  // namespace framebus::test
