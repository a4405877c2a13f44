// What is in a file with video, before anybody works on it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace framebus {

enum class Container { kMp4, kMatroska };

// One track of sound as it stands in a file.
struct SoundTrack {
  std::string name;  // For people: "AAC", or GStreamer's name where there is none.
  bool in_mp4 = false;
  bool in_matroska = false;
};

// Fields as in contract_file.ts.
struct MediaFile {
  uint32_t width = 0;
  uint32_t height = 0;
  uint32_t rate_numerator = 0;  // 0 when the file does not say, or the rate varies.
  uint32_t rate_denominator = 1;
  uint64_t duration_ns = 0;     // 0 when the file does not say.
  uint64_t pictures_at_ns = 0;  // GStreamer's running time of the first picture …
  uint64_t begins_at_ns = 0;    // … and of the earliest picture or sound.
  std::vector<SoundTrack> sound;
};

// Decodes the first picture. Blocks, some seconds at most. Throws Error with the
// codes of sources: SOURCE_NOT_FOUND, SOURCE_UNREADABLE, SOURCE_UNSUPPORTED, SOURCE_BROKEN.
MediaFile inspect_media_file(const std::string& path);

}  // namespace framebus
