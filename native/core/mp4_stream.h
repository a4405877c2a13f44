// Cuts a muxer's byte stream into what a browser appends: the initialisation
// segment, then whole fragments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace framebus {

// Boxes: ISO/IEC 14496-12. Not thread-safe.
class Mp4Stream {
 public:
  // `init`: ftyp and moov; otherwise one fragment, moof and mdat. The init
  // segment is given a duration of a day: without one Chromium takes the stream
  // for a conference call, renders it in its low-delay mode and drops most
  // pictures once a single one came late. Players extend it when it is not enough.
  using OnSegment = std::function<void(bool init, std::vector<uint8_t> data)>;

  explicit Mp4Stream(OnSegment on_segment) : on_segment_(std::move(on_segment)) {}

  // False when the bytes are not boxes of a fragmented file.
  bool add(std::span<const uint8_t> bytes);

 private:
  OnSegment on_segment_;
  std::vector<uint8_t> bytes_;  // Since the last segment.
  size_t parsed_ = 0;           // Of them, in whole boxes.
};

}  // namespace framebus
