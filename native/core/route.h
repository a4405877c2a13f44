// The consumer groups that a pool's frames are delivered to.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bus_layout.h"

namespace framebus {

// A consumer group on a stream's route.
struct RouteGroup {
  // Also from a name alone: the smallest hold.
  RouteGroup(const char* group) : name(group) {}
  RouteGroup(std::string group, uint32_t frames = 1) : name(std::move(group)), hold(frames) {}
  std::string name;
  uint32_t hold = 1;  // Frames of the pool that its members may hold at once, together.
};

// Groups by index, which is their bit in slot words. A closed group keeps its
// index for when it comes back; another one gets it only when no lane has it
// any more, so that no old member counts for a new group.
class Route {
 public:
  struct Place {
    RouteGroup group{""};
    bool used = false;
    bool open = false;
    uint64_t delivered = 0;
    uint64_t missed = 0;
  };

  explicit Route(const std::vector<RouteGroup>& groups);

  // kNoGroup when there is no such group, or it is closed.
  uint32_t find_open(const std::string& name) const;
  // Closed ones, too.
  uint32_t find(const std::string& name) const;
  // Of the open groups.
  uint8_t open_bits() const;
  // Frames that the open groups may hold together.
  uint32_t reserved() const;

  // Index for a group that find() does not know; nothing when all are taken.
  // `has_lanes`: whether a lane has that index.
  std::optional<uint32_t> vacant(const std::function<bool(uint32_t)>& has_lanes) const;
  void open(uint32_t index, const RouteGroup& group);
  void close(uint32_t index) { places_[index].open = false; }

  Place& at(uint32_t index) { return places_[index]; }
  const Place& at(uint32_t index) const { return places_[index]; }

 private:
  std::array<Place, kMaxGroups> places_;
};

}  // namespace framebus
