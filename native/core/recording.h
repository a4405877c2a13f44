// Records an output's encoded pictures into files, without encoding them again.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "access_unit.h"
#include "expected_frames.h"
#include "output.h"
#include "recording_segment.h"

namespace framebus {

// Fields as in contract.ts.
struct RecordingOptions {
  std::string folder;
  uint64_t segment_ns = 0;
  uint64_t max_bytes = 0;  // 0: no limit.
  bool sidecar = true;
  uint64_t queue_bytes = 0;
};

struct RecordingStats {
  uint64_t segments = 0;
  uint64_t bytes = 0;
  uint64_t dropped_gops = 0;
  uint64_t failures = 0;
  std::string file;           // That is being written; empty when none is.
  uint64_t queued_bytes = 0;  // That wait for the disk.
};

// What a recording reports. on_dropped comes on the encoder's thread and must not
// block; the others come on the writer's.
class RecordingMonitor {
 public:
  virtual ~RecordingMonitor() = default;
  // The disk is too slow: a group of pictures was left out, or its end.
  virtual void on_dropped() = 0;
  // Told once; then the recording tries again at keyframes, not more than once a second.
  virtual void on_failed(const std::string& code, const std::string& message) = 0;
  // The first pictures of a file are on the disk.
  virtual void on_begun(const std::string& file) = 0;
  // Told when pictures are on disk again.
  virtual void on_resumed(const std::string& file) = 0;
};

// Writes on a thread of its own, behind a bounded queue: the encoder never waits
// for a disk. Segments begin at keyframes. Thread-safe.
class Recording : public AccessUnitSink, public std::enable_shared_from_this<Recording> {
 public:
  // Joins the output. Throws Error BAD_OPTIONS.
  static std::shared_ptr<Recording> open(std::shared_ptr<Output> output, RecordingOptions options,
                                         std::shared_ptr<RecordingMonitor> listener);
  // Does not join the output: it has the pictures that it is given (accept), and no others.
  static std::shared_ptr<Recording> open_fed(std::shared_ptr<Output> output,
                                             RecordingOptions options,
                                             std::shared_ptr<RecordingMonitor> listener);
  ~Recording() override;

  // What is to stand in the line of a frame that will be pushed into the output
  // now. Another epoch begins another segment.
  void expect(uint64_t seq, std::string epoch, std::string record);
  // The next picture, with its line. Does not block. False: it has ended.
  bool accept(RecordedFrame frame);
  RecordingStats stats() const;
  // Leaves the output and finishes the file. Blocks, 2.5 s at most: a disk that hangs
  // is left behind. Idempotent.
  void close();

  bool on_access_unit(const AccessUnit& unit) override;
  void on_output_end(const char* reason) override;

 private:
  using Clock = std::chrono::steady_clock;
  Recording(std::shared_ptr<Output> output, RecordingOptions options,
            std::shared_ptr<RecordingMonitor> listener);
  static std::shared_ptr<Recording> start(std::shared_ptr<Output> output, RecordingOptions options,
                                          std::shared_ptr<RecordingMonitor> listener);
  void run();
  std::optional<RecordedFrame> next(std::unique_lock<std::mutex>& lock);
  void write(RecordedFrame frame);
  void begin_segment(const RecordedFrame& first);
  bool ends_segment(const RecordedFrame& frame) const;
  void flush_late();
  void finish_segment();
  void lose(bool keyframe);
  void fail(const std::string& code, const std::string& message);
  void account();

  // Given.
  const std::shared_ptr<Output> output_;
  const RecordingOptions options_;
  const std::shared_ptr<RecordingMonitor> listener_;

  // Shared between callers, the encoder's thread and the writer.
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_changed_;
  ExpectedFrames expected_;
  std::deque<RecordedFrame> queue_;
  uint64_t queued_bytes_ = 0;
  bool skipping_ = true;        // Until a keyframe that there is room for.
  std::string keyframe_epoch_;  // Of the latest keyframe.
  RecordingStats stats_;
  bool ending_ = false;
  bool done_ = false;

  // Used by the writer alone.
  std::unique_ptr<RecordingSegment> segment_;
  Clock::time_point pending_since_;
  Clock::time_point retry_at_;
  uint64_t accounted_bytes_ = 0;  // Of the segment.
  uint64_t gop_begins_ = 0;       // Video bytes of the segment before its last keyframe.
  bool failed_ = false;

  std::mutex close_mutex_;
  std::thread thread_;
};

}  // namespace framebus
