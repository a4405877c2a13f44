#include "frame_view.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace framebus {

namespace {
constexpr uint32_t kAlign = 64;  // One cache line, and enough for AVX-512 loads.
constexpr uint32_t align_up(uint32_t n) { return (n + kAlign - 1) / kAlign * kAlign; }

constexpr std::array<std::pair<MemoryKind, const char*>, 4> kMemoryNames{
    {{MemoryKind::kShm, "shm"},
     {MemoryKind::kCuda, "cuda"},
     {MemoryKind::kCudaIpc, "cuda-ipc"},
     {MemoryKind::kDmabuf, "dmabuf"}}};
}  // namespace

const char* memory_kind_name(MemoryKind kind) {
  for (const auto& [each, name] : kMemoryNames) {
    if (each == kind) return name;
  }
  return "unknown";
}

std::optional<MemoryKind> memory_kind_of(std::string_view name) {
  for (const auto& [kind, each] : kMemoryNames) {
    if (name == each) return kind;
  }
  return std::nullopt;
}

namespace {

struct Span {
  uint32_t start = 0;
  uint32_t length = 0;
};

// One axis of a crop.
Span even_span(double start, double length, uint32_t size) {
  const double limit = size;
  // Not a number counts as 0.
  const double from = start > 0 ? std::min(start, limit) : 0;
  const double end = start + length > from ? std::min(start + length, limit) : from;
  const uint32_t last = size > 2 ? (size - 1) / 2 * 2 : 0;  // Where the last even pair begins.
  const uint32_t first = std::min(static_cast<uint32_t>(from) / 2 * 2, last);
  const auto past = static_cast<uint32_t>(std::ceil(end / 2)) * 2;
  return {first, std::min(std::max(past, first + 2), size) - first};
}

}  // namespace

FrameCrop crop(const FrameView& frame, const FrameRegion& region) {
  const Span columns = even_span(region.x, region.width, frame.format.width);
  const Span rows = even_span(region.y, region.height, frame.format.height);
  FrameCrop out{columns.start, rows.start, frame};
  out.view.format.width = columns.length;
  out.view.format.height = rows.length;
  for (uint32_t p = 0; p < plane_count(frame.format.pixel_format); ++p) {
    const bool halved = p > 0;
    const bool interleaved = halved && frame.format.pixel_format == PixelFormat::kNv12;
    const size_t left = halved && !interleaved ? columns.start / 2 : columns.start;
    const size_t top = halved ? rows.start / 2 : rows.start;
    out.view.data[p] = frame.data[p] + top * frame.stride[p] + left;
  }
  return out;
}

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

bool layout_fits(const FrameFormat& format, const PlaneLayout& layout) {
  constexpr uint32_t kMaxSide = 1U << 15;
  if (format.width == 0 || format.width > kMaxSide) return false;
  if (format.height == 0 || format.height > kMaxSide) return false;
  if (format.pixel_format != PixelFormat::kI420 && format.pixel_format != PixelFormat::kNv12) {
    return false;
  }
  for (uint32_t p = 0; p < plane_count(format.pixel_format); ++p) {
    const uint32_t row_bytes = plane_row_bytes(format, p);
    if (layout.stride[p] < row_bytes) return false;
    const uint64_t end =
        layout.offset[p] + uint64_t{plane_rows(format, p) - 1} * layout.stride[p] + row_bytes;
    if (end > layout.slot_bytes) return false;
  }
  return true;
}

FrameView view_of(const FrameFormat& format, const PlaneLayout& layout, const uint8_t* slot) {
  FrameView view;
  view.format = format;
  for (uint32_t p = 0; p < plane_count(format.pixel_format); ++p) {
    view.data[p] = slot + layout.offset[p];
    view.stride[p] = layout.stride[p];
  }
  return view;
}

}  // namespace framebus
