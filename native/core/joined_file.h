// One file of recorded pictures and the sound of another file; nothing is encoded anew.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "media_file.h"

namespace framebus {

// Fields as in contract_file.ts.
struct JoinOptions {
  std::vector<std::string> recorded;  // MP4 files, in order; H.264 or H.265 without B-frames.
  std::vector<uint64_t> times_ns;     // Of each picture; rising.
  std::string sound;                  // File whose sound is taken over.
  uint32_t sound_tracks = 0;          // That it has, as MediaFile says.
  uint64_t sound_from_ns = 0;         // Running time in it that is 0 in the joined file.
  uint32_t rate_numerator = 0;        // As of MediaFile.
  uint32_t rate_denominator = 1;
  Container container = Container::kMp4;
  std::string file;
};

// The smallest rate of ticks in which all of these times are whole, to GStreamer's nanosecond;
// 90 kHz when none of the usual ones is.
uint32_t ticks_per_second(const std::vector<uint64_t>& times_ns, uint32_t rate_numerator);

// Blocks until the file is written; `cancelled` ends it early. What was written by then stays.
// Throws Error JOIN_FAILED, FILE_UNWRITABLE, CANCELLED.
void join_file(const JoinOptions& options, const std::atomic<bool>& cancelled);

}  // namespace framebus
