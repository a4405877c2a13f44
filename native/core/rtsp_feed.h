// The pictures of an output on their way into one RTSP media.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "access_unit.h"
#include "fanout.h"
#include "gst_ptr.h"

namespace framebus {

class Output;

// Feeds a media's appsrc. Primes it with the keyframe that is at hand, so that
// DESCRIBE is answered at once, and goes on from the next keyframe when
// somebody plays. What the media does not take is dropped up to the next
// keyframe. Thread-safe.
class RtspFeed : public AccessUnitSink, public std::enable_shared_from_this<RtspFeed> {
 public:
  RtspFeed(std::shared_ptr<Output> output, GstElement* appsrc, Keyframe first);
  ~RtspFeed() override;

  // Sets up the appsrc's callbacks.
  void attach();
  // A client plays: a keyframe is asked for, and pictures flow from it on.
  void play();
  // The media is going: its appsrc is let go of. Idempotent.
  void detach();
  // Pictures that did not fit into the bounded stage before the payloader.
  uint64_t dropped() const { return dropped_; }

  bool on_access_unit(const AccessUnit& unit) override;
  void on_output_end(const char* reason) override;

 private:
  void prime();
  bool has_room(bool resuming) const;
  void push(const AccessUnit& unit);

  const std::weak_ptr<Output> output_;

  std::mutex mutex_;
  GstPtr<GstElement> source_;  // Null once the media has gone.
  std::optional<Keyframe> first_;
  bool playing_ = false;
  bool waiting_for_keyframe_ = true;
  // From the output's time to the media's running time; only ever shrinks, so
  // that pictures are never ahead of the clock and never wait for it.
  std::optional<int64_t> offset_ns_;
  GstClockTime last_pts_ = GST_CLOCK_TIME_NONE;
  std::atomic<uint64_t> dropped_ = 0;
};

}  // namespace framebus
