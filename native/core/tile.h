// One cell of a tiled picture.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "canvas.h"
#include "label.h"
#include "output.h"
#include "tile_grid.h"
#include "tile_scaler.h"

namespace framebus {

// The latest picture of an output in its place, with its name; dark, and said to be missing,
// where it is old or there was none. Used by one thread.
class Tile {
 public:
  explicit Tile(std::string name) : name_(std::move(name)) {}

  // Whose pictures are shown from now on. Null: the last one stays until it is old.
  void follow(std::shared_ptr<Output> source);
  // Shares the source's latest picture; pictures older than `stale_ns` are missing.
  void look(int64_t now_ns, int64_t stale_ns);
  // Paints what has changed since the last time, or everything, into its place of the whole
  // picture, which has limited range. Throws Error as TileScaler and PictureMap do.
  void paint(const MutableFrame& whole, const PixelRect& place, bool everything,
             LabelCache& labels);

 private:
  void paint_picture(const MutableFrame& whole, const PixelRect& place);
  void paint_texts(const MutableFrame& cell, LabelCache& labels) const;

  const std::string name_;
  std::shared_ptr<Output> source_;  // Null: none.

  // Shown, or about to be.
  std::optional<DrawnPicture> picture_;
  FrameFormat format_;  // Of the picture.
  bool missing_ = true;
  bool changed_ = true;

  // Scales pictures of one format into one size.
  FrameFormat scaled_from_;
  FrameFormat scaled_to_;
  std::unique_ptr<TileScaler> scaler_;
};

}  // namespace framebus
