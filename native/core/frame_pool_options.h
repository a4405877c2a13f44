// What a pool is made of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bus_layout.h"
#include "frame_view.h"
#include "route.h"

namespace framebus {

struct FramePoolOptions {
  std::string stream_id;
  FrameFormat format;
  PlaneLayout layout;
  MemoryKind memory = MemoryKind::kShm;
  uint32_t slots = 0;
  // Slots that consumers may hold together; the others are for whoever writes
  // (a decoder keeps reference frames). 0: all but one, or the only one.
  uint32_t capacity = 0;
  std::vector<RouteGroup> groups;  // At most 8; the stream's route at the start.
};

// The options with their defaults filled in; throws BAD_OPTIONS.
FramePoolOptions checked(FramePoolOptions options);
[[noreturn]] void bad_pool(const std::string& stream_id, const std::string& why);

}  // namespace framebus
