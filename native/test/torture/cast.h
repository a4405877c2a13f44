// Who takes part in the torture: streams, the groups on their routes, and the
// consumers. Fixed, so that a seed means the same everywhere.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "core/frame_view.h"

namespace framebus::test {

struct GroupRole {
  const char* name;
  bool lossless;
  uint32_t hold;     // Frames of one stream that its members may hold together.
  bool film;         // On the route of the streams that may be paused …
  bool live;         // … and of those that may not.
  uint32_t slow_ms;  // Its members keep frames for up to so long.
};

constexpr std::array<GroupRole, 7> kGroups{{
    {"archive", true, 3, true, false, 3},
    {"index", true, 4, true, false, 3},
    {"solo", true, 2, true, false, 2},
    {"view", false, 2, true, true, 2},
    {"infer", false, 3, false, true, 5},
    {"slow", false, 3, false, true, 60},
    // Attached to everything; put on routes and taken off again while frames flow.
    {"guest", false, 2, false, false, 10},
}};
constexpr uint32_t kGuestGroup = 6;

// A film waits for its lossless groups; a live stream waits for nobody.
struct StreamRole {
  const char* producer;
  bool film;
};
constexpr std::array<StreamRole, 4> kStreams{
    {{"film-0", true}, {"film-1", true}, {"live-0", false}, {"live-1", false}}};

// Group of each consumer.
constexpr std::array<uint32_t, 12> kConsumers{0, 0, 1, 1, 1, 2, 3, 4, 4, 4, 5, 6};

// More than all consumers of a live stream may hold, or be leasing, at once,
// and one to write: a producer that finds none free then is a failure.
constexpr uint32_t kSlots = 20;

constexpr bool on_route(uint32_t stream, uint32_t group) {
  return kStreams[stream].film ? kGroups[group].film : kGroups[group].live;
}
constexpr bool takes_from(uint32_t stream, uint32_t group) {
  return group == kGuestGroup || on_route(stream, group);
}
inline uint32_t group_named(const std::string& name) {
  const auto found = std::find_if(kGroups.begin(), kGroups.end(),
                                  [&](const GroupRole& group) { return name == group.name; });
  return static_cast<uint32_t>(found - kGroups.begin());
}
inline std::string consumer_name(uint32_t consumer) {
  std::string name = "c";
  return name.append(std::to_string(consumer));
}

constexpr uint32_t most_held_of_live() {
  uint32_t most = 0;
  for (const uint32_t group : kConsumers) most += takes_from(2, group) ? kGroups[group].hold : 0;
  return most;
}
static_assert(most_held_of_live() < kSlots);

inline FrameFormat torture_format(uint32_t width, uint32_t height, PixelFormat pixels) {
  FrameFormat format;
  format.width = width;
  format.height = height;
  format.pixel_format = pixels;
  return format;
}

// Mostly small: the torture is of the protocol, not of the memory.
inline const std::array<FrameFormat, 8>& torture_formats() {
  static const std::array<FrameFormat, 8> formats{
      torture_format(64, 48, PixelFormat::kI420),   torture_format(64, 48, PixelFormat::kNv12),
      torture_format(161, 121, PixelFormat::kI420), torture_format(322, 181, PixelFormat::kNv12),
      torture_format(322, 181, PixelFormat::kI420), torture_format(200, 150, PixelFormat::kNv12),
      torture_format(640, 360, PixelFormat::kI420), torture_format(1280, 720, PixelFormat::kNv12)};
  return formats;
}

}  // namespace framebus::test
