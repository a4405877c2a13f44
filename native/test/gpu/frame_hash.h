// What a frame shows, as text that two decoders can be compared by.
#pragma once

#include <glib.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "core/frame_view.h"

namespace framebus::test {

inline std::string sha256(const std::vector<uint8_t>& bytes) {
  const std::unique_ptr<gchar, void (*)(void*)> text(
      g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes.data(), bytes.size()), &g_free);
  return text.get();
}

// "<Y> <U> <V>": SHA-256 of the samples of each plane, row by row without
// padding; NV12's chroma is taken apart, so that it equals I420's.
inline std::string frame_hash(const FrameView& frame) {
  std::array<std::vector<uint8_t>, 3> planes;
  const FrameFormat& format = frame.format;
  const bool nv12 = format.pixel_format == PixelFormat::kNv12;
  for (uint32_t plane = 0; plane < plane_count(format.pixel_format); ++plane) {
    for (uint32_t y = 0; y < plane_rows(format, plane); ++y) {
      const uint8_t* const row = frame.data[plane] + size_t{y} * frame.stride[plane];
      const uint32_t bytes = plane_row_bytes(format, plane);
      if (plane == 0 || !nv12) {
        planes[plane].insert(planes[plane].end(), row, row + bytes);
        continue;
      }
      for (uint32_t x = 0; x + 1 < bytes; x += 2) {
        planes[1].push_back(row[x]);
        planes[2].push_back(row[x + 1]);
      }
    }
  }
  return sha256(planes[0]) + " " + sha256(planes[1]) + " " + sha256(planes[2]);
}

}  // namespace framebus::test
