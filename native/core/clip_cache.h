// Clips of an output's encoded pictures that begin in the past.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "access_unit.h"
#include "expected_frames.h"
#include "output.h"
#include "recording.h"

namespace framebus {

// Fields as in contract_recording.ts.
struct ClipCacheOptions {
  uint64_t pre_roll_ns = 0;
  uint64_t max_bytes = 0;
};

struct ClipCacheStats {
  uint64_t frames = 0;
  uint64_t bytes = 0;
};

// Keeps the encoded pictures of the last seconds with their lines, from a keyframe on:
// pre_roll_ns and up to a group of pictures more, but never more than max_bytes. The
// pictures are shared with whoever else has them. Thread-safe.
class ClipCache : public AccessUnitSink {
 public:
  class Clip;

  // Joins the output.
  static std::shared_ptr<ClipCache> open(std::shared_ptr<Output> output, ClipCacheOptions options);

  // What is to stand in the line of a frame that will be pushed into the output now.
  void expect(uint64_t seq, std::string epoch, std::string record);
  // Begins a recording with what is kept, from the last keyframe that is so long before
  // the newest picture, or from the oldest; then it goes on. Room for what is kept comes on
  // top of its queue_bytes. Throws Error BAD_OPTIONS. Clips may overlap.
  static std::unique_ptr<Clip> begin(std::shared_ptr<ClipCache> cache, uint64_t pre_roll_ns,
                                     RecordingOptions options,
                                     std::shared_ptr<RecordingMonitor> monitor);
  ClipCacheStats stats() const;
  // Leaves the output. Clips that run have no further pictures. Idempotent.
  void close();

  bool on_access_unit(const AccessUnit& unit) override;
  void on_output_end(const char* reason) override;

 private:
  // Pictures from a keyframe to the next one.
  struct Gop {
    std::vector<RecordedFrame> frames;
    uint64_t bytes = 0;
  };
  struct Feed {
    std::shared_ptr<Recording> recording;
    std::optional<uint64_t> last;  // Seq; set when the clip is to end.
  };

  ClipCache(std::shared_ptr<Output> output, ClipCacheOptions options);
  void keep(RecordedFrame frame);
  void trim();
  uint64_t replay(Recording& recording, uint64_t pre_roll_ns) const;
  void finish(const Recording* recording);
  void end_feeds();

  // Given.
  const std::shared_ptr<Output> output_;
  const ClipCacheOptions options_;

  // Shared between callers and the encoder's thread.
  mutable std::mutex mutex_;
  std::condition_variable delivered_changed_;
  ExpectedFrames expected_;
  std::deque<Gop> gops_;  // Never an empty one.
  uint64_t bytes_ = 0;
  std::optional<uint64_t> delivered_;  // Seq of the newest picture.
  std::vector<Feed> feeds_;
  bool ended_ = false;
};

// A recording that a cache feeds.
class ClipCache::Clip {
 public:
  Clip(std::shared_ptr<ClipCache> cache, std::shared_ptr<Recording> recording,
       uint64_t pre_roll_ns);
  ~Clip();
  Clip(const Clip&) = delete;
  Clip& operator=(const Clip&) = delete;

  // From its first picture to the newest one when it was begun.
  uint64_t pre_roll_ns() const { return pre_roll_ns_; }
  RecordingStats stats() const { return recording_->stats(); }
  // Ends with the frame that was pushed last, and finishes the file. Blocks, 3.5 s at
  // most: an encoder or a disk that hangs is left behind. Idempotent.
  void end();

 private:
  const std::shared_ptr<ClipCache> cache_;
  const std::shared_ptr<Recording> recording_;
  const uint64_t pre_roll_ns_;
};

}  // namespace framebus
