#include "admission.h"

#include <algorithm>

#include "error.h"
#include "frame_pool_options.h"

namespace framebus {

uint32_t Admission::spare() const {
  uint32_t claimed = route.reserved() + leftover;
  for (const auto& lane : lanes) claimed += lane->group() == kNoGroup ? lane->hold() : 0;
  return capacity > claimed ? capacity - claimed : 0;
}

uint32_t Admission::grant(const LaneRequest& request, uint32_t group) const {
  const bool member = group != kNoGroup;
  const uint32_t most = member ? route.at(group).group.hold : spare();
  const uint32_t granted = std::min(request.hold, most);
  const uint32_t needed = std::max(request.min_hold, 1U);
  if (granted >= needed) return granted;
  const std::string asked = "at least " + std::to_string(needed) +
                            (needed == 1 ? " was asked by " : " were asked by ") + request.consumer;
  if (member) {
    refuse(
        "a member of group " + request.group + " may hold " + std::to_string(most) + ", " + asked,
        "raise the hold of the group, or lower that of the consumer");
  }
  refuse(
      (most == 0 ? "none" : std::to_string(most)) + (most > 1 ? " are" : " is") + " left, " + asked,
      "raise slots of the stream, or lower hold");
}

void Admission::check_group(const std::string& name, uint32_t more) const {
  const uint32_t left = spare();
  if (more <= left) return;
  refuse((left == 0 ? "none" : std::to_string(left)) + (left > 1 ? " are" : " is") +
             " left, group " + name + " needs " + std::to_string(more),
         "raise slots of the stream, or lower hold");
}

void refuse_group(const std::string& stream_id, const std::string& name) {
  throw Error("BUS_ADMISSION", "pool of stream '" + stream_id + "': it has " +
                                   std::to_string(kMaxGroups) + " consumer groups, group " + name +
                                   " would be one more; close one");
}

void check_route(const std::string& stream_id, uint32_t capacity,
                 const std::vector<RouteGroup>& groups, const RouteGroup& more) {
  if (more.name.empty() || more.hold == 0) bad_pool(stream_id, "a group has a name and a hold");
  const Route route(groups);
  const uint32_t known = route.find_open(more.name);
  const uint32_t had = known == kNoGroup ? 0 : route.at(known).group.hold;
  if (more.hold > had) {
    Admission{stream_id, capacity, route, {}, 0}.check_group(more.name, more.hold - had);
  }
  if (known == kNoGroup && groups.size() >= kMaxGroups) refuse_group(stream_id, more.name);
}

void Admission::refuse(const std::string& why, const std::string& remedy) const {
  throw Error("BUS_ADMISSION", "pool of stream '" + stream_id + "': " + std::to_string(capacity) +
                                   " slots may be held" + shares() + "; " + why + "; " + remedy);
}

// ", group infer has 4, group sink 8, observer-1 4".
std::string Admission::shares() const {
  std::string text;
  const auto add = [&](const std::string& who, uint32_t frames) {
    text += ", " + who + (text.empty() ? " has " : " ") + std::to_string(frames);
  };
  for (uint32_t index = 0; index < kMaxGroups; ++index) {
    const Route::Place& place = route.at(index);
    if (place.open) add("group " + place.group.name, place.group.hold);
  }
  for (const auto& lane : lanes) {
    if (lane->group() == kNoGroup) add(lane->owner().consumer, lane->hold());
  }
  if (leftover > 0) add("closed groups", leftover);
  return text;
}

}  // namespace framebus
