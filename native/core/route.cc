#include "route.h"

namespace framebus {

Route::Route(const std::vector<RouteGroup>& groups) {
  for (uint32_t index = 0; index < groups.size(); ++index) open(index, groups[index]);
}

uint32_t Route::find(const std::string& name) const {
  for (uint32_t index = 0; index < kMaxGroups; ++index) {
    if (places_[index].used && places_[index].group.name == name) return index;
  }
  return kNoGroup;
}

uint32_t Route::find_open(const std::string& name) const {
  const uint32_t index = find(name);
  return index != kNoGroup && places_[index].open ? index : kNoGroup;
}

uint8_t Route::open_bits() const {
  uint32_t bits = 0;
  for (uint32_t index = 0; index < kMaxGroups; ++index) {
    if (places_[index].open) bits |= 1U << index;
  }
  return static_cast<uint8_t>(bits);
}

uint32_t Route::reserved() const {
  uint32_t frames = 0;
  for (const Place& place : places_) frames += place.open ? place.group.hold : 0;
  return frames;
}

std::optional<uint32_t> Route::vacant(const std::function<bool(uint32_t)>& has_lanes) const {
  for (uint32_t index = 0; index < kMaxGroups; ++index) {
    if (!places_[index].used) return index;
  }
  for (uint32_t index = 0; index < kMaxGroups; ++index) {
    if (!places_[index].open && !has_lanes(index)) return index;
  }
  return std::nullopt;
}

void Route::open(uint32_t index, const RouteGroup& group) {
  Place& place = places_[index];
  if (!place.used || place.group.name != group.name) place = Place{.group = group, .used = true};
  place.group = group;
  place.open = true;
}

}  // namespace framebus
