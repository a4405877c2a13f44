#include "recording.h"

#include <utility>

#include "error.h"

namespace framebus {
namespace {

constexpr std::chrono::milliseconds kLongestPending{1000};
constexpr std::chrono::milliseconds kRetry{1000};
constexpr std::chrono::milliseconds kCloseDeadline{2500};

}  // namespace

std::shared_ptr<Recording> Recording::open(std::shared_ptr<Output> output, RecordingOptions options,
                                           std::shared_ptr<RecordingMonitor> listener) {
  auto recording = start(output, std::move(options), std::move(listener));
  output->add_sink(recording);
  return recording;
}

std::shared_ptr<Recording> Recording::open_fed(std::shared_ptr<Output> output,
                                               RecordingOptions options,
                                               std::shared_ptr<RecordingMonitor> listener) {
  return start(std::move(output), std::move(options), std::move(listener));
}

std::shared_ptr<Recording> Recording::start(std::shared_ptr<Output> output,
                                            RecordingOptions options,
                                            std::shared_ptr<RecordingMonitor> listener) {
  if (options.segment_ns == 0)
    throw Error("BAD_OPTIONS",
                "recording of " + output->options().stream_id + ": segmentMs must be at least 1");
  struct Enabled : Recording {
    Enabled(std::shared_ptr<Output> from, RecordingOptions how,
            std::shared_ptr<RecordingMonitor> to)
        : Recording(std::move(from), std::move(how), std::move(to)) {}
  };
  auto recording =
      std::make_shared<Enabled>(std::move(output), std::move(options), std::move(listener));
  // The thread keeps the recording alive: one that a disk holds up must not lose its ground.
  recording->thread_ = std::thread([self = std::shared_ptr<Recording>(recording)] { self->run(); });
  return recording;
}

Recording::Recording(std::shared_ptr<Output> output, RecordingOptions options,
                     std::shared_ptr<RecordingMonitor> listener)
    : output_(std::move(output)), options_(std::move(options)), listener_(std::move(listener)) {}

// The writer is at its end, or is the one who destroys.
Recording::~Recording() {
  if (thread_.joinable()) thread_.detach();
}

void Recording::expect(uint64_t seq, std::string epoch, std::string record) {
  {
    const std::lock_guard lock(mutex_);
    if (ending_) return;
    if (!expected_.add(seq, std::move(epoch), std::move(record))) return;
  }
  output_->request_keyframe();
}

bool Recording::on_access_unit(const AccessUnit& unit) {
  RecordedFrame frame;
  {
    const std::lock_guard lock(mutex_);
    if (ending_) return false;
    frame = expected_.take(unit);
  }
  return accept(std::move(frame));
}

bool Recording::accept(RecordedFrame frame) {
  bool dropped = false;
  bool wants_keyframe = false;
  {
    const std::lock_guard lock(mutex_);
    if (ending_) return false;
    // The new epoch's first frame found a keyframe too soon before it.
    if (frame.keyframe) keyframe_epoch_ = frame.epoch;
    wants_keyframe = frame.epoch != keyframe_epoch_;
    const bool room = queued_bytes_ + frame.bytes + frame.record.size() <= options_.queue_bytes;
    if (skipping_ && frame.keyframe && room) skipping_ = false;
    if (skipping_ ? frame.keyframe : !room) {
      skipping_ = true;
      dropped = true;
      ++stats_.dropped_gops;
    }
    if (!skipping_) {
      queued_bytes_ += frame.bytes + frame.record.size();
      queue_.push_back(std::move(frame));
      wake_.notify_one();
    }
  }
  if (dropped) listener_->on_dropped();
  if (wants_keyframe) output_->request_keyframe();
  return true;
}

void Recording::on_output_end(const char*) {
  const std::lock_guard lock(mutex_);
  ending_ = true;
  wake_.notify_one();
}

RecordingStats Recording::stats() const {
  const std::lock_guard lock(mutex_);
  RecordingStats stats = stats_;
  stats.queued_bytes = queued_bytes_;
  return stats;
}

void Recording::run() {
  std::unique_lock lock(mutex_);
  while (!ending_ || !queue_.empty()) {
    std::optional<RecordedFrame> frame = next(lock);
    lock.unlock();
    if (frame) {
      write(std::move(*frame));
    } else {
      flush_late();
    }
    frame.reset();
    lock.lock();
  }
  lock.unlock();
  finish_segment();
  lock.lock();
  done_ = true;
  done_changed_.notify_all();
}

// Waits for a frame; none when what is pending has waited for long enough, or at the end.
std::optional<RecordedFrame> Recording::next(std::unique_lock<std::mutex>& lock) {
  const auto ready = [this] { return ending_ || !queue_.empty(); };
  if (segment_ != nullptr && segment_->pending()) {
    wake_.wait_until(lock, pending_since_ + kLongestPending, ready);
  } else {
    wake_.wait(lock, ready);
  }
  if (queue_.empty()) return std::nullopt;
  RecordedFrame frame = std::move(queue_.front());
  queue_.pop_front();
  queued_bytes_ -= frame.bytes + frame.record.size();
  return frame;
}

void Recording::write(RecordedFrame frame) {
  if (segment_ != nullptr && ends_segment(frame)) finish_segment();
  const bool keyframe = frame.keyframe;
  const bool begins = segment_ == nullptr;
  if (begins && (!keyframe || Clock::now() < retry_at_)) {
    lose(keyframe);
    return;
  }
  try {
    if (begins) {
      begin_segment(frame);
    } else if (keyframe) {
      gop_begins_ = segment_->video_bytes();
    }
    if (!segment_->pending()) pending_since_ = Clock::now();
    const uint32_t fragments = segment_->fragments();
    segment_->add(std::move(frame));
    if (segment_->fragments() != fragments) pending_since_ = Clock::now();
    account();
  } catch (const Error& error) {
    fail(error.code(), error.what());
    // What could not be written belongs to the group before this one.
    lose(keyframe && !begins);
  }
}

void Recording::begin_segment(const RecordedFrame& first) {
  segment_ = std::make_unique<RecordingSegment>(options_.folder, first, options_.sidecar);
  accounted_bytes_ = gop_begins_ = 0;
  const std::lock_guard lock(mutex_);
  stats_.file = segment_->file();
}

bool Recording::ends_segment(const RecordedFrame& frame) const {
  if (!frame.keyframe) return false;
  const uint64_t gop_bytes = segment_->video_bytes() - gop_begins_;
  return frame.time_ns - segment_->first_time_ns() >= options_.segment_ns ||
         (options_.max_bytes > 0 && segment_->video_bytes() + gop_bytes > options_.max_bytes) ||
         frame.epoch != segment_->epoch() ||
         gst_caps_is_equal(frame.caps.get(), segment_->caps()) == FALSE;
}

// A camera that pauses must not keep its last pictures from the disk.
void Recording::flush_late() {
  if (segment_ == nullptr || !segment_->pending()) return;
  if (Clock::now() < pending_since_ + kLongestPending) return;
  try {
    segment_->flush();
    account();
  } catch (const Error& error) {
    fail(error.code(), error.what());
  }
}

void Recording::finish_segment() {
  if (segment_ == nullptr) return;
  try {
    segment_->finish();
    account();
    segment_.reset();
    const std::lock_guard lock(mutex_);
    stats_.file.clear();
  } catch (const Error& error) {
    fail(error.code(), error.what());
  }
}

void Recording::lose(bool keyframe) {
  const std::lock_guard lock(mutex_);
  if (keyframe) ++stats_.dropped_gops;
}

void Recording::fail(const std::string& code, const std::string& message) {
  segment_.reset();
  retry_at_ = Clock::now() + kRetry;
  {
    const std::lock_guard lock(mutex_);
    ++stats_.dropped_gops;
    stats_.file.clear();
    if (!failed_) ++stats_.failures;
  }
  if (std::exchange(failed_, true)) return;
  listener_->on_failed(code, "recording of " + output_->options().stream_id + ": " + message);
}

// A segment counts from its first fragment on: that it could be opened says little of a full disk.
void Recording::account() {
  if (segment_->fragments() == 0) return;
  const bool first = accounted_bytes_ == 0;
  {
    const std::lock_guard lock(mutex_);
    stats_.bytes += segment_->bytes() - accounted_bytes_;
    accounted_bytes_ = segment_->bytes();
    if (first) ++stats_.segments;
  }
  if (first) listener_->on_begun(segment_->file());
  if (std::exchange(failed_, false)) listener_->on_resumed(segment_->file());
}

void Recording::close() {
  const std::lock_guard closing(close_mutex_);
  output_->remove_sink(this);
  std::unique_lock lock(mutex_);
  ending_ = true;
  wake_.notify_one();
  const bool done = done_changed_.wait_for(lock, kCloseDeadline, [this] { return done_; });
  lock.unlock();
  if (!thread_.joinable()) return;
  if (done) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

}  // namespace framebus
