// The bytes of a recorded file: fragmented MP4 with one video track.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gst_ptr.h"

namespace framebus {

// Boxes: ISO/IEC 14496-12; how H.264 and H.265 lie in them: 14496-15.
// Times are in ticks of 90 kHz from the start of the file.
constexpr uint64_t kMp4TicksPerSecond = 90'000;

// The tick that a time, in nanoseconds from the start of the file, falls on.
inline uint64_t mp4_ticks(uint64_t time_ns) { return (time_ns * 9 + 50'000) / 100'000; }

// What the file says of its track.
struct Mp4Track {
  std::string entry;          // "avc1", "hvc1".
  std::string configuration;  // "avcC", "hvcC".
  std::vector<uint8_t> parameters;
  uint32_t width = 0;
  uint32_t height = 0;
  uint32_t pixel_aspect_numerator = 1;
  uint32_t pixel_aspect_denominator = 1;
};

struct Mp4Sample {
  uint32_t duration_ticks = 0;
  uint32_t bytes = 0;
  bool keyframe = false;
};

// Where a keyframe is: that of the first sample of a fragment.
struct Mp4Seek {
  uint64_t ticks = 0;
  uint64_t offset = 0;  // Of the fragment in the file.
};

struct Mp4Header {
  std::vector<uint8_t> bytes;
  size_t duration_at = 0;  // Where mp4_duration() goes when it is known.
};

// Of pictures in AVC or HVC form. Throws Error RECORDING_FAILED for others.
Mp4Track mp4_track(const GstCaps* caps);
// What a file begins with. `unix_seconds`: when.
Mp4Header mp4_header(const Mp4Track& track, uint64_t unix_seconds);
// As long as what it replaces.
std::vector<uint8_t> mp4_duration(uint64_t ticks);
// What stands before the samples of a fragment. `sequence` counts from 1.
std::vector<uint8_t> mp4_fragment(uint32_t sequence, uint64_t first_ticks,
                                  std::span<const Mp4Sample> samples);
// What a finished file ends with, so that players can seek.
std::vector<uint8_t> mp4_index(std::span<const Mp4Seek> seeks);

}  // namespace framebus
