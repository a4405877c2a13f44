// A frame -> a JPEG picture.
#pragma once

#include <cstdint>
#include <vector>

#include "frame_view.h"

namespace framebus {

// Encodes at the frame's own size, 4:2:0, `quality` 1-100. JPEG is BT.601 in
// full range; frames in another matrix or range are converted so that their
// colours stay. Throws Error JPEG_FAILED.
std::vector<uint8_t> encode_jpeg(const FrameView& frame, int quality);

}  // namespace framebus
