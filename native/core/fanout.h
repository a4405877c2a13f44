// Hands each encoded picture to all sinks of an output.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "access_unit.h"
#include "gst_ptr.h"

namespace framebus {

// A keyframe that is kept, with its caps.
struct Keyframe {
  GstPtr<GstBuffer> buffer;
  GstPtr<GstCaps> caps;
};

// Thread-safe.
class Fanout {
 public:
  // A keyframe at most this old is replayed, with all that followed it, to a
  // sink that joins; an older one is not worth the catching up.
  static constexpr uint64_t kReplayNs = 500'000'000;
  static constexpr size_t kReplayUnits = 64;

  // Adds a sink. True when it was given a fresh keyframe at once, false when it
  // has to wait for the next one.
  bool add(std::shared_ptr<AccessUnitSink> sink);
  void remove(const AccessUnitSink* sink);
  void deliver(const AccessUnit& unit);
  // Ends all sinks; from now on sinks are ended as they are added.
  void end(const char* reason);

  std::optional<Keyframe> last_keyframe() const;
  // There is a keyframe, and no end yet.
  bool watchable() const;
  size_t sinks() const;

 private:
  struct Kept {
    GstPtr<GstBuffer> buffer;
    AccessUnit unit;  // Its buffer is borrowed from `buffer`, its caps from caps_.
  };

  void keep(const AccessUnit& unit);

  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<AccessUnitSink>> sinks_;
  GstPtr<GstCaps> caps_;
  GstPtr<GstBuffer> keyframe_;
  std::vector<Kept> replay_;     // From the last keyframe on; empty when that is too old.
  int64_t keyframe_at_ns_ = 0;   // Monotonic.
  const char* ended_ = nullptr;  // A literal.
};

}  // namespace framebus
