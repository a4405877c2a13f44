// What a frame is to code that only reads it: format and planes, no ownership.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace framebus {

enum class PixelFormat : uint32_t { kI420 = 1, kNv12 = 2 };
enum class ColorMatrix : uint32_t { kBt601 = 1, kBt709 = 2 };
enum class ColorRange : uint32_t { kLimited = 1, kFull = 2 };

// Where the pixels of a pool lie; names as in contract.ts.
enum class MemoryKind : uint32_t { kShm = 1, kCuda = 2, kCudaIpc = 3, kDmabuf = 4 };
const char* memory_kind_name(MemoryKind kind);
std::optional<MemoryKind> memory_kind_of(std::string_view name);

// Size, layout and colour of a stream's frames.
struct FrameFormat {
  uint32_t width = 0;
  uint32_t height = 0;
  PixelFormat pixel_format = PixelFormat::kI420;
  ColorMatrix matrix = ColorMatrix::kBt601;
  ColorRange range = ColorRange::kLimited;
  uint32_t frame_rate_numerator = 0;
  uint32_t frame_rate_denominator = 1;
  uint32_t pixel_aspect_numerator = 1;
  uint32_t pixel_aspect_denominator = 1;

  bool operator==(const FrameFormat&) const = default;
};

constexpr uint32_t kMaxPlanes = 3;

// Planes of a format: I420 has 3, NV12 has 2.
constexpr uint32_t plane_count(PixelFormat format) { return format == PixelFormat::kI420 ? 3 : 2; }

// Bytes of one row of pixels (without padding) and rows of a plane. Chroma of
// odd sizes is rounded up.
constexpr uint32_t plane_row_bytes(const FrameFormat& f, uint32_t plane) {
  if (plane == 0) return f.width;
  const uint32_t half = (f.width + 1) / 2;
  return f.pixel_format == PixelFormat::kNv12 ? half * 2 : half;
}
constexpr uint32_t plane_rows(const FrameFormat& f, uint32_t plane) {
  return plane == 0 ? f.height : (f.height + 1) / 2;
}

// Where the planes lie in a slot; the same for every slot of a pool.
struct PlaneLayout {
  std::array<uint32_t, kMaxPlanes> offset{};  // Bytes from the slot's start.
  std::array<uint32_t, kMaxPlanes> stride{};  // Bytes from row to row.
  uint32_t slot_bytes = 0;                    // Bytes of a slot in use.

  bool operator==(const PlaneLayout&) const = default;
};

// One frame to read. The pixels are borrowed from whoever holds the lease.
struct FrameView {
  FrameFormat format;
  std::array<const uint8_t*, kMaxPlanes> data{};  // Borrowed.
  std::array<uint32_t, kMaxPlanes> stride{};
};

// Part of a frame, in pixels from the top left.
struct FrameRegion {
  double x = 0;
  double y = 0;
  double width = 0;
  double height = 0;
};

// What of a frame a region covers: whole pixels, at even places so that chroma
// stays where it is sited, cut to the frame.
struct FrameCrop {
  uint32_t x = 0;  // Even.
  uint32_t y = 0;  // Even.
  FrameView view;  // Borrows what the frame's view borrows.
};

// Rounded outward to even pixels; at least 2 x 2 where the frame has them. A
// region beside the frame gives its nearest edge. No pixel is touched: works on
// device addresses as well.
FrameCrop crop(const FrameView& frame, const FrameRegion& region);

// Smallest layout for a format: strides aligned to 64 bytes, planes to 64.
PlaneLayout tight_layout(const FrameFormat& format);

// Whether all planes of a format lie inside a slot of this layout. Safe for
// any values, for example received ones.
bool layout_fits(const FrameFormat& format, const PlaneLayout& layout);
// The frame whose slot starts at `slot`, which stays the caller's.
FrameView view_of(const FrameFormat& format, const PlaneLayout& layout, const uint8_t* slot);

}  // namespace framebus
