#include "tile_scaler.h"

#include <cmath>

#include "picture_pool.h"

namespace framebus {
namespace {

FrameFormat sized(FrameFormat format, const FrameFormat& size) {
  format.width = size.width;
  format.height = size.height;
  return format;
}

// The video library converts between formats of one rate only.
FrameFormat timed(FrameFormat format, const FrameFormat& rate) {
  format.frame_rate_numerator = rate.frame_rate_numerator;
  format.frame_rate_denominator = rate.frame_rate_denominator;
  return format;
}

bool same_layout(const FrameFormat& a, const FrameFormat& b) {
  return a.pixel_format == b.pixel_format && a.matrix == b.matrix;
}

// Borrowed planes, as the video library takes them to write.
GstVideoFrame frame_of(const MutableFrame& target) {
  GstVideoFrame frame{};
  frame.info = video_info_of(target.format);
  for (uint32_t plane = 0; plane < plane_count(target.format.pixel_format); ++plane) {
    frame.data[plane] = target.data[plane];
    frame.info.stride[plane] = static_cast<gint>(target.stride[plane]);
  }
  return frame;
}

MutableFrame scratch_frame(const FrameFormat& format, std::vector<uint8_t>& bytes) {
  const PlaneLayout layout = tight_layout(format);
  bytes.resize(layout.slot_bytes);
  MutableFrame frame{.format = format};
  for (uint32_t plane = 0; plane < plane_count(format.pixel_format); ++plane) {
    frame.data[plane] = bytes.data() + layout.offset[plane];
    frame.stride[plane] = layout.stride[plane];
  }
  return frame;
}

FrameView view_of(const MutableFrame& frame) {
  FrameView view{.format = frame.format, .stride = frame.stride};
  for (size_t plane = 0; plane < view.data.size(); ++plane) view.data[plane] = frame.data[plane];
  return view;
}

}  // namespace

TileScaler::TileScaler(const FrameFormat& from, const FrameFormat& to)
    : from_(from),
      scaled_(sized(from, to)),
      to_(to),
      size_(from_, scaled_),
      colour_(same_layout(from, to) ? nullptr
                                    : std::make_unique<PictureScaler>(scaled_, timed(to, from))) {
  for (uint32_t value = 0; value < luma_.size(); ++value) {
    luma_[value] = static_cast<uint8_t>(std::lround(16 + value * 219.0 / 255));
    chroma_[value] = static_cast<uint8_t>(std::lround(128 + (value - 128.0) * 224 / 255));
  }
}

void TileScaler::scale(const FrameView& frame, const MutableFrame& target) {
  GstVideoFrame out = frame_of(target);
  if (colour_ == nullptr) {
    size_.scale(frame, &out);
  } else {
    const MutableFrame scratch = scratch_frame(scaled_, scratch_);
    GstVideoFrame between = frame_of(scratch);
    size_.scale(frame, &between);
    colour_->scale(view_of(scratch), &out);
  }
  // The library changes the range together with the matrix only.
  if (from_.matrix == to_.matrix && from_.range == ColorRange::kFull) limit_range(target);
}

void TileScaler::limit_range(const MutableFrame& frame) const {
  for (uint32_t plane = 0; plane < plane_count(to_.pixel_format); ++plane) {
    const auto& table = plane == 0 ? luma_ : chroma_;
    for (uint32_t y = 0; y < plane_rows(to_, plane); ++y) {
      uint8_t* row = frame.data[plane] + size_t{y} * frame.stride[plane];
      for (uint32_t x = 0; x < plane_row_bytes(to_, plane); ++x) row[x] = table[row[x]];
    }
  }
}

}  // namespace framebus
