#include "stream_worker.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "core/error.h"
#include "core/monotonic.h"
#include "frame_pattern.h"

namespace framebus::test {
namespace {

constexpr size_t kRemembered = 4096;
constexpr uint32_t kWholeBytes = 400'000;
constexpr uint32_t kSomeRows = 100;

}  // namespace

StreamWorker::StreamWorker(uint32_t consumer, uint32_t stream, uint64_t seed, BusConsumer& bus,
                           const DescriptorFeed& referee)
    : consumer_(consumer),
      group_(kConsumers[consumer]),
      stream_(stream),
      random_(seed),
      depth_(1 + random_.below(kGroups[group_].hold)),
      bus_(bus),
      referee_(referee),
      thread_([this] { work(); }) {}

StreamWorker::~StreamWorker() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void StreamWorker::offer(const Packet& hint) {
  const std::lock_guard lock(mutex_);
  hints_.push_back(hint);
  changed_.notify_all();
}

void StreamWorker::tell(Note note, const Packet& hint, const std::string& text) {
  Packet packet = hint;
  packet.note = note;
  packet.member = consumer_;
  set_field(packet.text, text);
  referee_.tell(packet);
}

// Whether the frame was done, or is newer than this one (of `latest`).
bool StreamWorker::known(const FrameName& frame) const {
  if (done_.contains(frame)) return true;
  return !role().lossless && !done_.empty() && frame < *done_.rbegin();
}

std::optional<Packet> StreamWorker::next() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    if (!hints_.empty()) {
      // `latest`: whatever is not the newest is let go by.
      while (!role().lossless && hints_.size() > 1) {
        tell(Note::kSkipped, hints_.front());
        hints_.pop_front();
      }
      const Packet hint = hints_.front();
      hints_.pop_front();
      return hint;
    }
    if (held_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const int64_t left_ns = held_.front().until_ns - monotonic_ns();
    if (left_ns <= 0) return std::nullopt;
    changed_.wait_for(lock, std::chrono::nanoseconds(left_ns));
  }
  return std::nullopt;
}

bool StreamWorker::attach(const Packet& hint) {
  const std::string epoch(hint.epoch.data(), hint.epoch.size());
  try {
    ++attaches_;
    bus_.attach(kStreams[stream_].producer, epoch);
    return true;
  } catch (const Error& error) {
    tell(Note::kUnreached, hint, std::string(error.code()) + " " + error.what());
    return false;
  }
}

void StreamWorker::take(const Packet& hint) {
  const auto is_it = [&](const Held& held) { return held.hint.frame == hint.frame; };
  if (std::any_of(held_.begin(), held_.end(), is_it)) return tell(Note::kSkipped, hint);
  const bool again = known(hint.frame);
  if (again && !role().lossless) return tell(Note::kSkipped, hint);
  while (held_.size() >= depth_) finish_oldest();
  const std::string epoch(hint.epoch.data(), hint.epoch.size());
  auto result = bus_.lease(epoch, hint.slot, hint.generation);
  for (int attempt = 0; attempt < 4; ++attempt) {
    const auto* const refusal = std::get_if<LeaseRefusal>(&result);
    if (refusal == nullptr || *refusal == LeaseRefusal::kStale) break;
    if (*refusal == LeaseRefusal::kUnattached && !attach(hint)) return;
    if (*refusal == LeaseRefusal::kQuota && !held_.empty()) finish_oldest();
    result = bus_.lease(epoch, hint.slot, hint.generation);
  }
  auto* const lease = std::get_if<std::shared_ptr<SlotLease>>(&result);
  if (lease == nullptr) return tell(Note::kStale, hint);
  const auto keep_ns = static_cast<int64_t>(random_.below(uint64_t{role().slow_ms} * 1'000'000));
  held_.push_back({hint, std::move(*lease), monotonic_ns() + keep_ns, again, attaches_});
}

std::string StreamWorker::look(const Held& held) {
  const FrameRead read = held.lease->read();
  const FrameView& view = read.view();
  const uint32_t bytes = held.lease->layout().slot_bytes;
  const FramePattern pattern(held.hint.frame, view.format);
  return pattern.differs(view, bytes > kWholeBytes ? kSomeRows : 0, random_);
}

// Only a fence may end a lease before its holder does.
void StreamWorker::revoked(const Held& held, const std::string& difference) {
  const std::string epoch(held.hint.epoch.data(), held.hint.epoch.size());
  const auto result = bus_.lease(epoch, held.hint.slot, held.hint.generation);
  const auto* const refusal = std::get_if<LeaseRefusal>(&result);
  const bool fenced = refusal != nullptr && *refusal == LeaseRefusal::kUnattached;
  // After a new attach there is nobody left to ask.
  if (fenced || held.attaches != attaches_) {
    return tell(Note::kRevoked, held.hint, difference);
  }
  tell(Note::kFailure, held.hint,
       consumer_name(consumer_) + " has lost its lease on " + held.hint.frame.text() +
           " without a fence; pixels: " + (difference.empty() ? "good" : difference));
}

void StreamWorker::finish_oldest() {
  const Held held = std::move(held_.front());
  held_.pop_front();
  if (held.again) return;
  const std::string difference = look(held);
  if (!held.lease->valid()) return revoked(held, difference);
  if (!difference.empty()) {
    return tell(Note::kFailure, held.hint,
                "torn: " + consumer_name(consumer_) + " holds " + held.hint.frame.text() +
                    ", but " + difference);
  }
  done_.insert(held.hint.frame);
  if (done_.size() > kRemembered) done_.erase(done_.begin());
  // Before the lease ends: who is killed in between has done it, and somebody does it again.
  tell(Note::kDone, held.hint);
}

void StreamWorker::work() {
  while (true) {
    const std::optional<Packet> hint = next();
    if (hint) take(*hint);
    while (!held_.empty() && held_.front().until_ns <= monotonic_ns()) finish_oldest();
    const std::lock_guard lock(mutex_);
    if (stop_) break;
  }
  while (!held_.empty()) finish_oldest();
}

}  // namespace framebus::test
