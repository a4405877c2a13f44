// One annotated, encoded picture stream.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "capture.h"
#include "encode_options.h"
#include "encoder.h"
#include "error.h"
#include "fanout.h"
#include "frame_view.h"
#include "lease_table.h"
#include "overlay.h"
#include "picture_pool.h"
#include "picture_scaler.h"
#include "timeline.h"

namespace framebus {

// Fields as in contract.ts.
struct OutputOptions {
  std::string stream_id;
  FrameFormat format;
  EncodeOptions encode;
  uint32_t queue = 4;
  bool yielding = false;
  uint32_t width = 0;  // Of the pictures, even; their height follows. 0: the frames' own size.
};

// What an output reports; called on its own threads, must not block.
class OutputListener {
 public:
  virtual ~OutputListener() = default;
  virtual void on_encoded(const AccessUnit& unit, int64_t monotonic_ns) = 0;
  // A queued frame that was not encoded. Reasons: "stale" (its lease was
  // revoked before the copy was complete), "encoder" (the encoder has failed).
  virtual void on_dropped(uint64_t seq, const char* reason) = 0;
  virtual void on_error(const char* code, const std::string& message) = 0;
};

struct Snapshot {
  uint64_t seq = 0;
  std::vector<uint8_t> jpeg;
};

// A picture as it went to the encoder: concealed and drawn. Shared, not to be written to.
struct DrawnPicture {
  GstPtr<GstBuffer> buffer;
  uint64_t seq = 0;
  int64_t drawn_ns = 0;  // Monotonic.
};

// Thread-safe. Frames go through copy and drawing on the output's thread, then
// through the encoder on another, so that the two overlap.
class Output {
 public:
  enum class Push { kQueued, kFull };

  // Throws Error (BAD_OPTIONS, ENCODER_MISSING, ENCODER_FAILED).
  Output(OutputOptions options, std::shared_ptr<OutputListener> listener);
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // Takes a share of the lease until its pixels are copied. Throws Error
  // OUTPUT_FORMAT (another size or layout than the output's) and OUTPUT_CLOSED.
  Push push(std::shared_ptr<Lease> lease, uint64_t seq, int64_t pts_ns, Overlay overlay);

  // The same for a picture of picture_format() that is complete: nothing is drawn on it,
  // and nobody may write to it any more. Throws Error OUTPUT_CLOSED.
  Push push(GstPtr<GstBuffer> picture, uint64_t seq, int64_t pts_ns);
  // Tells the listener that whoever feeds the output has failed.
  void fail(const Error& error) { listener_->on_error(error.code(), error.what()); }

  // Shares the latest picture; nothing before the first one.
  std::optional<DrawnPicture> latest() const;
  // Of all pictures: that of the options, cut to even sizes.
  const FrameFormat& picture_format() const { return encoded_; }

  // JPEG of the latest drawn picture; nothing before the first one. Encodes on
  // the calling thread. Throws Error JPEG_FAILED.
  std::optional<Snapshot> snapshot(int quality) const;
  // The picture that is pushed next; none when it is refused, dropped, or the output closes.
  std::shared_ptr<Capture> capture_next(bool drawn);
  // Waits for it and encodes it, on the calling thread. Throws Error JPEG_FAILED.
  std::optional<Snapshot> take(Capture& capture, int quality,
                               std::chrono::milliseconds timeout) const;

  // Encoded pictures for one more sink, from a keyframe on. One is asked for if need be.
  void add_sink(std::shared_ptr<AccessUnitSink> sink);
  void remove_sink(const AccessUnitSink* sink);
  // A keyframe soon; many requests together make one, at most every 400 ms.
  void request_keyframe();
  // Nothing before the first one.
  std::optional<Keyframe> last_keyframe() const { return fanout_.last_keyframe(); }
  // Whether a viewer would get a picture now.
  bool watchable() const { return fanout_.watchable(); }

  const OutputOptions& options() const { return options_; }

  // Encodes what is queued, ends all sinks. Blocks, a few seconds at most. Idempotent.
  void close();

 private:
  struct Job {
    std::shared_ptr<Lease> lease = nullptr;
    GstPtr<GstBuffer> picture = nullptr;  // Complete; null: made of the lease.
    uint64_t seq;
    int64_t pts_ns;
    int64_t arrived_ns;
    Overlay overlay = {};
    std::vector<std::shared_ptr<Capture>> captures = {};
  };

  Push queue(Job job);
  void run();
  void process(Job job);
  GstPtr<GstBuffer> copy(const Lease& lease);
  GstPtr<GstBuffer> draw(Job& job);
  void settle_clean(GstBuffer* picture, const Job& job);
  std::optional<Snapshot> jpeg_of(const NumberedPicture& picture, int quality) const;
  void keep_latest(GstBuffer* picture, uint64_t seq);
  void ask_for_keyframe(uint64_t time_ns);
  void on_unit(const AccessUnit& unit);
  void on_encoder_error(const std::string& message);
  void drop_unfinished();

  // Given.
  const OutputOptions options_;
  const FrameFormat encoded_;
  const std::shared_ptr<OutputListener> listener_;

  // Shared between callers and the thread.
  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<Job> jobs_;
  DrawnPicture latest_;                             // Null before the first one.
  std::vector<std::shared_ptr<Capture>> captures_;  // Of the next push.
  bool closed_ = false;
  bool behind_ = false;  // Yielding: the queue was full, and has not been empty since.

  std::atomic<bool> keyframe_wanted_ = false;
  std::atomic<bool> begun_ = false;             // A picture has come out.
  std::atomic<uint64_t> keyframe_time_ns_ = 0;  // Of the last one that came out.

  // Used by the thread alone.
  std::unique_ptr<PictureScaler> scaler_;  // Null: pictures have the frames' size.
  Timeline timeline_;
  int64_t keyframe_forced_ns_;            // Monotonic.
  uint64_t keyframe_forced_time_ns_ = 0;  // On the timeline.

  // Order of destruction: the thread first, then the encoder, then what they use.
  PicturePool pool_;
  Fanout fanout_;
  Encoder encoder_;
  std::mutex close_mutex_;
  std::jthread thread_;
};

}  // namespace framebus
