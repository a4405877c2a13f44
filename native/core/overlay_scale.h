// An overlay of frames for pictures of another size.
#pragma once

#include "frame_view.h"
#include "overlay.h"

namespace framebus {

// Places and sizes in pixels of `to` instead of `from`. Areas to conceal grow by what scaling
// mixes into the pixels around them. A line or font that was asked for shrinks along, but a
// font never below what is legible, unless it was asked for so.
Overlay scaled(Overlay overlay, const FrameFormat& from, const FrameFormat& to);

}  // namespace framebus
