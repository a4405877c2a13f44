#include "tile.h"

#include <algorithm>
#include <utility>

#include "draw.h"

namespace framebus {
namespace {

constexpr uint32_t kBlack = 0x000000;
constexpr uint32_t kNamePlate = 0x202020;
constexpr uint32_t kMissingPlate = 0xa01010;
// Of 256: how much of an old picture is black.
constexpr uint8_t kDimming = 192;
constexpr const char* kMissing = "no picture";
// A picture is old after so many of its stream's own intervals at least.
constexpr int64_t kStaleFrames = 3;

// A part of a picture as a picture of its own; its place is even.
MutableFrame part_of(const MutableFrame& whole, const PixelRect& place) {
  MutableFrame part = whole;
  part.format.width = static_cast<uint32_t>(place.width());
  part.format.height = static_cast<uint32_t>(place.height());
  const bool nv12 = whole.format.pixel_format == PixelFormat::kNv12;
  for (uint32_t plane = 0; plane < plane_count(whole.format.pixel_format); ++plane) {
    const auto row = static_cast<size_t>(plane == 0 ? place.top : place.top / 2);
    const auto byte = static_cast<size_t>(plane == 0 || nv12 ? place.left : place.left / 2);
    part.data[plane] = whole.data[plane] + row * whole.stride[plane] + byte;
  }
  return part;
}

void fill(const MutableFrame& frame, uint32_t rgb) {
  const Canvas canvas(frame);
  canvas.fill({0, 0, canvas.width(), canvas.height()}, canvas.color(rgb));
}

void dim(const MutableFrame& frame) {
  const Canvas canvas(frame);
  const Yuv black = canvas.color(kBlack);
  for (int32_t y = 0; y < canvas.height(); ++y)
    canvas.tint_luma(y, 0, canvas.width(), black.y, kDimming);
  for (int32_t y = 0; y < canvas.chroma_height(); ++y)
    canvas.tint_chroma(y, 0, canvas.chroma_width(), black, kDimming);
}

int64_t interval_ns(const FrameFormat& format) {
  if (format.frame_rate_numerator == 0) return 0;
  return int64_t{1'000'000'000} * format.frame_rate_denominator / format.frame_rate_numerator;
}

}  // namespace

void Tile::follow(std::shared_ptr<Output> source) { source_ = std::move(source); }

void Tile::look(int64_t now_ns, int64_t stale_ns) {
  if (source_ != nullptr) {
    std::optional<DrawnPicture> latest = source_->latest();
    // Held here, its buffer is not used again: another picture has another one.
    if (latest && (!picture_ || latest->buffer != picture_->buffer)) {
      picture_ = std::move(latest);
      format_ = source_->picture_format();
      changed_ = true;
    }
  }
  const int64_t lasts_ns = std::max(stale_ns, kStaleFrames * interval_ns(format_));
  const bool missing = !picture_ || now_ns - picture_->drawn_ns > lasts_ns;
  changed_ = changed_ || missing != missing_;
  missing_ = missing;
}

void Tile::paint(const MutableFrame& whole, const PixelRect& place, bool everything,
                 LabelCache& labels) {
  if (!changed_ && !everything) return;
  changed_ = false;
  if (place.width() <= 0 || place.height() <= 0) return;
  const MutableFrame cell = part_of(whole, place);
  fill(cell, kBlack);
  if (picture_) paint_picture(whole, place);
  if (missing_) dim(cell);
  paint_texts(cell, labels);
}

void Tile::paint_picture(const MutableFrame& whole, const PixelRect& place) {
  const MutableFrame target = part_of(whole, letterboxed(place, format_));
  if (scaler_ == nullptr || scaled_from_ != format_ || scaled_to_ != target.format) {
    scaler_ = std::make_unique<TileScaler>(format_, target.format);
    scaled_from_ = format_;
    scaled_to_ = target.format;
  }
  const PictureMap map(picture_->buffer.get(), format_, GST_MAP_READ);
  scaler_->scale(map.view(), target);
}

// The name in the left lower corner, where pictures have the least to say of their own.
void Tile::paint_texts(const MutableFrame& cell, LabelCache& labels) const {
  const auto [width, height] = std::pair(cell.format.width, cell.format.height);
  Overlay overlay;
  overlay.font_px = std::clamp(std::min(width, height) / 16, 11U, 28U);
  overlay.texts.push_back({.x = 0, .y = double(height), .text = name_, .color = kNamePlate});
  if (missing_) {
    const auto plate = labels.mask(kMissing, overlay.font_px, width);
    overlay.texts.push_back({.x = (double(width) - plate->width) / 2,
                             .y = (double(height) - plate->height) / 2,
                             .text = kMissing,
                             .color = kMissingPlate});
  }
  draw_overlay(cell, overlay, labels);
}

}  // namespace framebus
