#include "frame_view.h"

namespace framebus {

namespace {
constexpr uint32_t kAlign = 64;  // One cache line, and enough for AVX-512 loads.
constexpr uint32_t align_up(uint32_t n) { return (n + kAlign - 1) / kAlign * kAlign; }
}  // namespace

PlaneLayout tight_layout(const FrameFormat& format) {
  PlaneLayout layout;
  uint32_t end = 0;
  for (uint32_t p = 0; p < plane_count(format.pixel_format); ++p) {
    layout.offset[p] = end;
    layout.stride[p] = align_up(plane_row_bytes(format, p));
    end += align_up(layout.stride[p] * plane_rows(format, p));
  }
  layout.slot_bytes = end;
  return layout;
}

}  // namespace framebus
