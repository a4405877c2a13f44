#include "fanout.h"

#include <algorithm>
#include <utility>

#include "monotonic.h"

namespace framebus {

bool Fanout::add(std::shared_ptr<AccessUnitSink> sink) {
  const std::lock_guard lock(mutex_);
  if (ended_ != nullptr) {
    sink->on_output_end(ended_);
    return true;
  }
  const bool fresh =
      !replay_.empty() && monotonic_ns() - keyframe_at_ns_ <= static_cast<int64_t>(kReplayNs);
  if (fresh) {
    for (const Kept& kept : replay_) {
      if (!sink->on_access_unit(kept.unit)) return true;
    }
  }
  sinks_.push_back(std::move(sink));
  return fresh;
}

void Fanout::remove(const AccessUnitSink* sink) {
  std::shared_ptr<AccessUnitSink> removed;  // Destroyed outside the lock.
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(sinks_.begin(), sinks_.end(),
                                  [sink](const auto& entry) { return entry.get() == sink; });
  if (found == sinks_.end()) return;
  removed = std::move(*found);
  sinks_.erase(found);
}

void Fanout::deliver(const AccessUnit& unit) {
  std::vector<std::shared_ptr<AccessUnitSink>> ended;  // Destroyed outside the lock.
  const std::lock_guard lock(mutex_);
  keep(unit);
  for (auto& sink : sinks_) {
    if (!sink->on_access_unit(unit)) ended.push_back(std::move(sink));
  }
  if (!ended.empty()) std::erase(sinks_, nullptr);
}

void Fanout::end(const char* reason) {
  std::vector<std::shared_ptr<AccessUnitSink>> ended;
  const std::lock_guard lock(mutex_);
  if (ended_ != nullptr) return;
  ended_ = reason;
  ended.swap(sinks_);
  for (const auto& sink : ended) sink->on_output_end(reason);
  replay_.clear();
}

std::optional<Keyframe> Fanout::last_keyframe() const {
  const std::lock_guard lock(mutex_);
  if (keyframe_ == nullptr) return std::nullopt;
  return Keyframe{share(keyframe_.get()), share(caps_.get())};
}

bool Fanout::watchable() const {
  const std::lock_guard lock(mutex_);
  return keyframe_ != nullptr && ended_ == nullptr;
}

size_t Fanout::sinks() const {
  const std::lock_guard lock(mutex_);
  return sinks_.size();
}

void Fanout::keep(const AccessUnit& unit) {
  if (unit.keyframe) {
    replay_.clear();
    caps_ = share(unit.caps);
    keyframe_ = share(unit.buffer);
    keyframe_at_ns_ = monotonic_ns();
  } else if (replay_.empty()) {
    return;
  }
  if (replay_.size() >= kReplayUnits ||
      monotonic_ns() - keyframe_at_ns_ > static_cast<int64_t>(kReplayNs)) {
    replay_.clear();
    return;
  }
  Kept kept{share(unit.buffer), unit};
  kept.unit.caps = caps_.get();
  replay_.push_back(std::move(kept));
}

}  // namespace framebus
