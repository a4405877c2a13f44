// Who may hold how many of a pool's frames.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lane.h"
#include "route.h"

namespace framebus {

// Each group on the route has its hold reserved, whether it has members or not:
// a frame goes to one of them, so they share it. Everybody else has his own.
struct Admission {
  const std::string& stream_id;
  uint32_t capacity = 0;
  const Route& route;
  const std::vector<std::shared_ptr<Lane>>& lanes;
  // Frames that members of closed groups still hold.
  uint32_t leftover = 0;

  // Frames that nobody has a claim to.
  uint32_t spare() const;
  // What a consumer is granted. `group`: index of its group, or kNoGroup.
  // Throws BUS_ADMISSION when it is less than it needs.
  uint32_t grant(const LaneRequest& request, uint32_t group) const;
  // Throws BUS_ADMISSION when there are not so many frames more for a group.
  void check_group(const std::string& name, uint32_t more) const;

 private:
  [[noreturn]] void refuse(const std::string& why, const std::string& remedy) const;
  std::string shares() const;
};

// Of a route without a pool yet: throws BUS_ADMISSION when a group is one too
// many, or `capacity` has not so many frames left for it.
void check_route(const std::string& stream_id, uint32_t capacity,
                 const std::vector<RouteGroup>& groups, const RouteGroup& more);
[[noreturn]] void refuse_group(const std::string& stream_id, const std::string& name);

}  // namespace framebus
