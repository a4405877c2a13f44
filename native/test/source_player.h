// A source under test, with everything that it tells, and what a consumer does.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/source.h"

namespace framebus::test {

inline SourceOptions fast_file(const std::string& uri) {
  SourceOptions options;
  options.stream_id = "test";
  options.uri = uri;
  options.mode = SourceMode::kLossless;
  options.slots = 4;
  options.groups = {"infer"};
  return options;
}

// Plays a source; every frame is looked at and given back in the event itself,
// unless `keep` is set.
class Player {
 public:
  using Look = std::function<void(const FramePool&, const uint8_t*, const FrameEvent&)>;

  explicit Player(SourceOptions options, Look look = nullptr, bool keep = false)
      : look_(std::move(look)),
        keep_(keep),
        source_(
            std::move(options),
            [this](const std::shared_ptr<FramePool>& pool) {
              const std::lock_guard lock(mutex_);
              pools_[pool->epoch()] = pool;
            },
            [this](const SourceEvent& event) { return on_event(event); }) {}
  ~Player() { source_.stop(); }

  Source& source() { return source_; }
  void start() { source_.start(); }

  template <class Condition>
  bool wait(Condition condition, int seconds = 30) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(seconds), condition);
  }
  // Until 'end' or 'error'.
  bool wait_over(int seconds = 60) {
    return wait([this] { return ended || !errors.empty(); }, seconds);
  }
  void give_back(const FrameEvent& frame) {
    source_.end_delivery(frame.epoch, frame.slot, frame.generation, "infer");
  }
  std::vector<FrameEvent> taken() {
    const std::lock_guard lock(mutex_);
    return frames;
  }

  std::vector<EpochEvent> epochs;
  std::vector<FrameEvent> frames;
  std::vector<DropEvent> drops;
  std::vector<WarningEvent> warnings;
  std::vector<ErrorEvent> errors;
  bool ended = false;

 private:
  bool on_event(const SourceEvent& event) {
    std::shared_ptr<FramePool> pool;
    const auto* frame = std::get_if<FrameEvent>(&event);
    {
      const std::lock_guard lock(mutex_);
      if (frame != nullptr) {
        frames.push_back(*frame);
        pool = pools_.at(frame->epoch);
      }
      if (const auto* e = std::get_if<EpochEvent>(&event)) epochs.push_back(*e);
      if (const auto* d = std::get_if<DropEvent>(&event)) drops.push_back(*d);
      if (const auto* w = std::get_if<WarningEvent>(&event)) warnings.push_back(*w);
      if (const auto* e = std::get_if<ErrorEvent>(&event)) errors.push_back(*e);
      if (std::holds_alternative<EndEvent>(event)) ended = true;
    }
    if (frame != nullptr && look_) look_(*pool, pool->slot_data(frame->slot), *frame);
    if (frame != nullptr && !keep_) give_back(*frame);
    changed_.notify_all();
    return true;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::shared_ptr<FramePool>> pools_;
  const Look look_;
  const bool keep_;
  Source source_;
};

}  // namespace framebus::test
