// What is in the pixels of a torture frame: every word of every row follows
// from the frame's name and the row, so that a word of another frame, or of the
// same frame a generation later, shows wherever it lies.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>

#include "../fuzz_kit.h"
#include "core/frame_view.h"

namespace framebus::test {

// `life` counts the starts of a stream's producer.
struct FrameName {
  uint32_t stream = 0;
  uint32_t life = 0;
  uint64_t seq = 0;

  auto operator<=>(const FrameName&) const = default;
  std::string text() const {
    return "stream " + std::to_string(stream) + " life " + std::to_string(life) + " frame " +
           std::to_string(seq);
  }
};

// Stands in the first bytes of the first row, over the pattern.
struct FrameStamp {
  uint64_t stream_and_life = 0;
  uint64_t seq = 0;
  uint64_t checksum = 0;  // Sum of all words of the pattern.
};

class FramePattern {
 public:
  FramePattern(const FrameName& name, const FrameFormat& format)
      : format_(format),
        key_(mix(uint64_t{name.stream} << 32 | name.life) ^ mix(name.seq * kStep)),
        stamp_{uint64_t{name.stream} << 32 | name.life, name.seq, 0} {
    for (uint32_t p = 0; p < plane_count(format_.pixel_format); ++p) {
      for (uint32_t row = 0; row < plane_rows(format_, p); ++row) {
        stamp_.checksum += row_sum(p, row);
      }
    }
  }

  // Fills the slot whose planes lie as `layout` says.
  void paint(uint8_t* slot, const PlaneLayout& layout) const {
    for (uint32_t p = 0; p < plane_count(format_.pixel_format); ++p) {
      uint8_t* start = slot + layout.offset[p];
      for (uint32_t row = 0; row < plane_rows(format_, p); ++row) {
        paint_row(start, p, row);
        start += layout.stride[p];
      }
    }
    std::memcpy(slot + layout.offset[0], &stamp_, sizeof(stamp_));
  }

  // Compares all rows, or so many random ones; what differs, or nothing.
  std::string differs(const FrameView& view, uint32_t some_rows, Random& random) const {
    FrameStamp stamp;
    std::memcpy(&stamp, view.data[0], sizeof(stamp));
    if (std::memcmp(&stamp, &stamp_, sizeof(stamp)) != 0) {
      return "its stamp says stream " + std::to_string(stamp.stream_and_life >> 32) + " life " +
             std::to_string(stamp.stream_and_life & 0xffffffff) + " frame " +
             std::to_string(stamp.seq) + ", checksum " + std::to_string(stamp.checksum) +
             " instead of " + std::to_string(stamp_.checksum);
    }
    if (some_rows == 0) return all_differ(view);
    for (uint32_t i = 0; i < some_rows; ++i) {
      const auto p = static_cast<uint32_t>(random.below(plane_count(format_.pixel_format)));
      const auto row = static_cast<uint32_t>(random.below(plane_rows(format_, p)));
      uint64_t sum = 0;
      if (!same_row(view, p, row, sum)) return wrong(p, row);
    }
    return {};
  }

 private:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15U;

  static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  static std::string wrong(uint32_t plane, uint32_t row) {
    return "plane " + std::to_string(plane) + " row " + std::to_string(row) +
           " is of another frame";
  }
  uint64_t row_key(uint32_t plane, uint32_t row) const {
    return mix(key_ + (uint64_t{plane} << 32 | row) * kStep);
  }
  // The last word of a row may be cut.
  static uint64_t cut(uint64_t word, size_t bytes) {
    return bytes >= 8 ? word : word & ((uint64_t{1} << (8 * bytes)) - 1);
  }

  uint64_t row_sum(uint32_t plane, uint32_t row) const {
    const uint64_t key = row_key(plane, row);
    const size_t bytes = plane_row_bytes(format_, plane);
    const uint64_t words = bytes / 8;
    uint64_t sum = words * key + kStep * (words * (words - (words > 0 ? 1 : 0)) / 2);
    if (bytes % 8 != 0) sum += cut(key + words * kStep, bytes % 8);
    return sum;
  }

  void paint_row(uint8_t* start, uint32_t plane, uint32_t row) const {
    uint64_t word = row_key(plane, row);
    const size_t bytes = plane_row_bytes(format_, plane);
    size_t at = 0;
    for (; at + 8 <= bytes; at += 8, word += kStep) std::memcpy(start + at, &word, 8);
    std::memcpy(start + at, &word, bytes - at);
  }

  bool same_row(const FrameView& view, uint32_t plane, uint32_t row, uint64_t& sum) const {
    const uint8_t* const start = view.data[plane] + uint64_t{row} * view.stride[plane];
    const size_t bytes = plane_row_bytes(format_, plane);
    const bool stamped = plane == 0 && row == 0;
    uint64_t word = row_key(plane, row);
    uint64_t difference = 0;
    for (size_t at = 0; at < bytes; at += 8, word += kStep) {
      const size_t width = std::min<size_t>(8, bytes - at);
      uint64_t found = 0;
      std::memcpy(&found, start + at, width);
      if (stamped && at < sizeof(FrameStamp)) found = word;  // Compared before.
      difference |= found ^ cut(word, width);
      sum += found;
    }
    return difference == 0;
  }

  std::string all_differ(const FrameView& view) const {
    uint64_t sum = 0;
    for (uint32_t p = 0; p < plane_count(format_.pixel_format); ++p) {
      for (uint32_t row = 0; row < plane_rows(format_, p); ++row) {
        if (!same_row(view, p, row, sum)) return wrong(p, row);
      }
    }
    return sum == stamp_.checksum ? "" : "its pixels do not add up to its checksum";
  }

  const FrameFormat format_;
  const uint64_t key_;
  FrameStamp stamp_;
};

}  // namespace framebus::test
