#include "frame_pool_options.h"

#include <algorithm>

#include "error.h"

namespace framebus {
namespace {

constexpr uint64_t kMaxSlotBytes = uint64_t{1} << 30;

[[noreturn]] void bad(const FramePoolOptions& options, const std::string& why) {
  bad_pool(options.stream_id, why);
}

void check_groups(const FramePoolOptions& options) {
  if (options.groups.size() > kMaxGroups) bad(options, "more than 8 consumer groups");
  uint64_t reserved = 0;
  std::string shares;
  for (const RouteGroup& group : options.groups) {
    if (std::count_if(options.groups.begin(), options.groups.end(),
                      [&](const RouteGroup& other) { return other.name == group.name; }) > 1) {
      bad(options, "consumer group '" + group.name + "' is named twice");
    }
    if (group.hold == 0) bad(options, "consumer group '" + group.name + "' may hold no frame");
    reserved += group.hold;
    shares += (shares.empty() ? "" : ", ") + group.name + " " + std::to_string(group.hold);
  }
  if (reserved <= options.capacity) return;
  bad(options, "its groups hold up to " + std::to_string(reserved) + " frames (" + shares +
                   "), but only " + std::to_string(options.capacity) + " of its " +
                   std::to_string(options.slots) +
                   " slots may be held; raise slots of the stream, or lower hold");
}

void check(const FramePoolOptions& options) {
  const PlaneLayout& layout = options.layout;
  if (options.slots == 0 || options.slots > kMaxSlots) {
    bad(options, std::to_string(options.slots) + " slots; 1 to " + std::to_string(kMaxSlots));
  }
  if (options.capacity > options.slots) {
    bad(options, std::to_string(options.capacity) + " of " + std::to_string(options.slots) +
                     " slots cannot be held");
  }
  check_groups(options);
  if (options.format.width == 0 || options.format.height == 0) bad(options, "empty picture");
  if (options.memory == MemoryKind::kDmabuf && options.slots > kMaxDmabufSlots) {
    bad(options, std::to_string(options.slots) + " slots of dmabuf memory; at most " +
                     std::to_string(kMaxDmabufSlots));
  }
  if (layout.slot_bytes > kMaxSlotBytes || !layout_fits(options.format, layout)) {
    bad(options, "planes do not fit their slot");
  }
}

}  // namespace

void bad_pool(const std::string& stream_id, const std::string& why) {
  throw Error("BAD_OPTIONS", "frame pool of stream '" + stream_id + "': " + why);
}

FramePoolOptions checked(FramePoolOptions options) {
  if (options.capacity == 0) options.capacity = std::max(options.slots, 2U) - 1;
  check(options);
  return options;
}

}  // namespace framebus
