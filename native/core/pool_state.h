// What there is to see of a pool and its consumers; as in contract.ts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "frame_view.h"
#include "lane.h"
#include "route.h"

namespace framebus {

struct ConsumerState {
  std::string consumer;
  std::string group;
  uint32_t peer_uid = 0;
  uint32_t hold = 0;
  LaneCounts counts;
  uint64_t revoked = 0;
};

struct GroupState {
  RouteGroup group;
  uint64_t delivered = 0;
  uint64_t missed = 0;
};

struct SlotCounts {
  uint32_t free = 0;
  uint32_t writing = 0;  // Or kept by a decoder after it was reclaimed.
  uint32_t published = 0;
};

struct PoolState {
  std::string stream_id;
  std::string epoch;
  MemoryKind memory = MemoryKind::kShm;
  uint32_t width = 0;
  uint32_t height = 0;
  uint32_t slots = 0;
  uint32_t capacity = 0;
  SlotCounts counts;
  bool retired = false;
  uint64_t frames_published = 0;
  uint64_t frames_displaced = 0;
  std::vector<GroupState> groups;
  std::vector<ConsumerState> consumers;
};

}  // namespace framebus
