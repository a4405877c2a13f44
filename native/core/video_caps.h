// From GStreamer's caps to the terms of the bus.
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include <cstdint>
#include <optional>

#include "frame_view.h"

namespace framebus {

// Of the slots that frames of these caps go to. Nothing when they are neither
// I420 nor NV12 nor P010, which becomes NV12.
std::optional<FrameFormat> frame_format_of(const GstVideoInfo& info);

// Whether frames of both fit the same epoch: all but the nominal rate.
bool same_picture(const FrameFormat& a, const FrameFormat& b);

// Frames that a decoder with this input keeps for itself while it works:
// reference frames and frames waiting for their turn, by the codec's own rules
// (H.264 table A-1, HEVC A.4.2), and what its frame threads are busy with.
uint32_t decoder_frames(const GstCaps* encoded, uint32_t threads);

}  // namespace framebus
