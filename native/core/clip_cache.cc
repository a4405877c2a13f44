#include "clip_cache.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace framebus {
namespace {

// How long a clip waits for its last picture to come out of the encoder.
constexpr std::chrono::milliseconds kLastPicture{1000};

// A second owner of the picture.
RecordedFrame copy_of(const RecordedFrame& frame) {
  return {.buffer = share(frame.buffer.get()),
          .caps = share(frame.caps.get()),
          .time_ns = frame.time_ns,
          .keyframe = frame.keyframe,
          .bytes = frame.bytes,
          .epoch = frame.epoch,
          .record = frame.record};
}

}  // namespace

std::shared_ptr<ClipCache> ClipCache::open(std::shared_ptr<Output> output,
                                           ClipCacheOptions options) {
  struct Enabled : ClipCache {
    Enabled(std::shared_ptr<Output> from, ClipCacheOptions how) : ClipCache(std::move(from), how) {}
  };
  auto cache = std::make_shared<Enabled>(output, options);
  output->add_sink(cache);
  return cache;
}

ClipCache::ClipCache(std::shared_ptr<Output> output, ClipCacheOptions options)
    : output_(std::move(output)), options_(options) {}

void ClipCache::expect(uint64_t seq, std::string epoch, std::string record) {
  const std::lock_guard lock(mutex_);
  if (!ended_) expected_.add(seq, std::move(epoch), std::move(record));
}

std::unique_ptr<ClipCache::Clip> ClipCache::begin(std::shared_ptr<ClipCache> cache,
                                                  uint64_t pre_roll_ns, RecordingOptions options,
                                                  std::shared_ptr<RecordingMonitor> monitor) {
  options.queue_bytes += cache->options_.max_bytes;
  auto recording = Recording::open_fed(cache->output_, std::move(options), std::move(monitor));
  uint64_t real_ns = 0;
  {
    const std::lock_guard lock(cache->mutex_);
    if (cache->gops_.empty()) {
      cache->output_->request_keyframe();
    } else {
      real_ns = cache->replay(*recording, pre_roll_ns);
    }
    if (cache->ended_) {
      recording->on_output_end("the output has ended");
    } else {
      cache->feeds_.push_back({recording, std::nullopt});
    }
  }
  return std::make_unique<Clip>(std::move(cache), std::move(recording), real_ns);
}

// With the mutex held, and something kept. Returns the length of what it gave.
uint64_t ClipCache::replay(Recording& recording, uint64_t pre_roll_ns) const {
  const uint64_t newest_ns = gops_.back().frames.back().time_ns;
  auto from = std::find_if(gops_.rbegin(), gops_.rend(), [&](const Gop& gop) {
    return gop.frames.front().time_ns + pre_roll_ns <= newest_ns;
  });
  auto gop = from == gops_.rend() ? gops_.begin() : std::prev(from.base());
  const uint64_t first_ns = gop->frames.front().time_ns;
  for (; gop != gops_.end(); ++gop) {
    for (const RecordedFrame& frame : gop->frames) recording.accept(copy_of(frame));
  }
  return newest_ns - first_ns;
}

bool ClipCache::on_access_unit(const AccessUnit& unit) {
  const std::lock_guard lock(mutex_);
  if (ended_) return false;
  RecordedFrame frame = expected_.take(unit);
  for (const Feed& feed : feeds_) {
    if (!feed.last || unit.seq <= *feed.last) feed.recording->accept(copy_of(frame));
  }
  delivered_ = unit.seq;
  delivered_changed_.notify_all();
  keep(std::move(frame));
  return true;
}

void ClipCache::keep(RecordedFrame frame) {
  if (frame.keyframe) gops_.emplace_back();
  // Nothing can be decoded before the first keyframe.
  if (gops_.empty()) return;
  const uint64_t bytes = frame.bytes + frame.record.size();
  gops_.back().bytes += bytes;
  bytes_ += bytes;
  gops_.back().frames.push_back(std::move(frame));
  trim();
}

void ClipCache::trim() {
  const uint64_t newest_ns = gops_.back().frames.back().time_ns;
  const auto spare = [&] {
    return gops_.size() > 1 && gops_[1].frames.front().time_ns + options_.pre_roll_ns <= newest_ns;
  };
  while (!gops_.empty() && (bytes_ > options_.max_bytes || spare())) {
    bytes_ -= gops_.front().bytes;
    gops_.pop_front();
  }
}

void ClipCache::on_output_end(const char*) {
  const std::lock_guard lock(mutex_);
  end_feeds();
}

// With the mutex held.
void ClipCache::end_feeds() {
  ended_ = true;
  for (const Feed& feed : feeds_) feed.recording->on_output_end("the output has ended");
  feeds_.clear();
  gops_.clear();
  bytes_ = 0;
  delivered_changed_.notify_all();
}

// Waits for the last picture of a clip, then gives it no more.
void ClipCache::finish(const Recording* recording) {
  std::unique_lock lock(mutex_);
  const auto find = [&] {
    return std::find_if(feeds_.begin(), feeds_.end(), [recording](const Feed& feed) {
      return feed.recording.get() == recording;
    });
  };
  const auto feed = find();
  if (feed == feeds_.end()) return;
  const std::optional<uint64_t> last = feed->last = expected_.last();
  delivered_changed_.wait_for(lock, kLastPicture,
                              [&] { return ended_ || !last || delivered_ >= last; });
  if (const auto left = find(); left != feeds_.end()) feeds_.erase(left);
}

ClipCacheStats ClipCache::stats() const {
  const std::lock_guard lock(mutex_);
  ClipCacheStats stats{.frames = 0, .bytes = bytes_};
  for (const Gop& gop : gops_) stats.frames += gop.frames.size();
  return stats;
}

void ClipCache::close() {
  output_->remove_sink(this);
  const std::lock_guard lock(mutex_);
  end_feeds();
}

ClipCache::Clip::Clip(std::shared_ptr<ClipCache> cache, std::shared_ptr<Recording> recording,
                      uint64_t pre_roll_ns)
    : cache_(std::move(cache)), recording_(std::move(recording)), pre_roll_ns_(pre_roll_ns) {}

ClipCache::Clip::~Clip() { end(); }

void ClipCache::Clip::end() {
  cache_->finish(recording_.get());
  recording_->close();
}

}  // namespace framebus
