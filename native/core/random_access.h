// Where a decoder can start.
#pragma once

#include <cstdint>
#include <span>

#include "encode_options.h"

namespace framebus {

// Whether nothing of this access unit, nor after it, needs a picture before it: IDR
// pictures, and IRAP pictures of H.265. `bytes` are NAL units with 4-byte lengths. An
// I-picture alone is no such place, although GStreamer's parsers call it a keyframe.
bool is_random_access(VideoCodec codec, std::span<const uint8_t> bytes);

}  // namespace framebus
