// Pictures of one format in another size, layout and colour.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "canvas.h"
#include "frame_view.h"
#include "picture_scaler.h"

namespace framebus {

// Scales in the picture's own layout, and converts what is then of the right size: together
// it takes five times as long. Not thread-safe.
class TileScaler {
 public:
  // `to` has limited range, and is scaled to whatever shape it has. Throws Error ENCODER_FAILED
  // where the video library cannot.
  TileScaler(const FrameFormat& from, const FrameFormat& to);

  // The frame has the format `from`, the target that of `to`; both are borrowed.
  void scale(const FrameView& frame, const MutableFrame& target);

 private:
  void limit_range(const MutableFrame& frame) const;

  const FrameFormat from_;
  const FrameFormat scaled_;  // Of `to`'s size, as `from` otherwise.
  const FrameFormat to_;
  PictureScaler size_;
  const std::unique_ptr<PictureScaler> colour_;  // Null where layout and matrix are right.
  std::vector<uint8_t> scratch_;                 // A picture of `scaled_`, where `colour_` is.
  // Full range to limited, where nothing else does it.
  std::array<uint8_t, 256> luma_{};
  std::array<uint8_t, 256> chroma_{};
};

}  // namespace framebus
