#include "delivery_book.h"

#include <algorithm>
#include <utility>

#include "core/monotonic.h"

namespace framebus::test {
namespace {

constexpr int64_t kOfferAgainNs = 20'000'000;
constexpr int64_t kLatestWithinNs = 60'000'000;
constexpr size_t kRemembered = 200;
// A holder that is gone is reported at once; longer is a report that was lost.
constexpr int64_t kReportWithinNs = 10'000'000'000;

}  // namespace

Packet packet_of(Note note, const TortureFrame& frame, uint32_t group) {
  Packet packet;
  packet.note = note;
  packet.group = group;
  packet.frame = frame.name;
  packet.slot = frame.slot;
  packet.generation = frame.generation;
  frame.pool->epoch().copy(packet.epoch.data(), kEpochDigits);
  return packet;
}

void DeliveryBook::wrong(const Entry& entry, const std::string& what) const {
  referee_.fail(entry.frame->name.text() + ", group " + name() + ": " + what);
}

void DeliveryBook::offer(const Entry& entry) const {
  Packet packet = packet_of(Note::kHint, *entry.frame, group_);
  packet.attempt = entry.attempt;
  referee_.tell(packet);
}

void DeliveryBook::published(const std::shared_ptr<const TortureFrame>& frame) {
  Entry entry{frame, 0, monotonic_ns()};
  if (lossless()) {
    backlog_.push_back(std::move(entry));
    return;
  }
  if (!lazy_) {
    std::deque<Entry> older = std::exchange(waiting_, {});
    for (Entry& each : older) give_up(std::move(each));
  }
  if (taken_.size() + undecided_.size() >= kGroups[group_].hold) return give_up(std::move(entry));
  offer(entry);
  waiting_.push_back(std::move(entry));
}

// Of `latest`: ends the delivery, unless a member has the frame after all.
void DeliveryBook::give_up(Entry entry) {
  switch (end(entry)) {
    case DeliveryEnd::kTaken:
      entry.since_ns = monotonic_ns();
      taken_.push_back(std::move(entry));
      return;
    case DeliveryEnd::kUndecided:
      undecided_.push_back(std::move(entry));
      return;
    case DeliveryEnd::kClosed:
      closed_.push_back(packet_of(Note::kClosed, *entry.frame, group_));
      referee_.tell(closed_.back());
      if (closed_.size() > kRemembered) closed_.pop_front();
      return;
    case DeliveryEnd::kGone:
      wrong(entry, "its slot has moved on without a word");
  }
}

// Taken and let go: what was said of it twice must not be taken again.
void DeliveryBook::finish(const Entry& entry) const {
  const DeliveryEnd ended = end(entry);
  if (ended != DeliveryEnd::kTaken) {
    wrong(entry,
          "a member had it, but its delivery ends as " + std::to_string(static_cast<int>(ended)));
  }
}

void DeliveryBook::settle_waiting(Entry entry, int64_t now_ns) {
  switch (delivery(entry)) {
    case Delivery::kHeld:
      if (!lossless()) end(entry);
      entry.since_ns = now_ns;
      taken_.push_back(std::move(entry));
      return;
    case Delivery::kReleased:
      return finish(entry);
    case Delivery::kGone:
      return wrong(entry, "its slot has moved on while it was on offer");
    case Delivery::kNone:
      break;
  }
  if (!lossless() && (now_ns - entry.since_ns > kLatestWithinNs)) return give_up(std::move(entry));
  if (lossless() && now_ns - entry.since_ns > kOfferAgainNs) {
    offer(entry);
    entry.since_ns = now_ns;
  }
  waiting_.push_back(std::move(entry));
}

void DeliveryBook::settle_taken(Entry entry, int64_t now_ns) {
  const Delivery state = delivery(entry);
  if (state == Delivery::kReleased) return finish(entry);
  if (state == Delivery::kHeld) {
    entry.since_ns = now_ns;
  } else if (!lossless()) {
    return;  // Its holder is gone, and the frame with it.
  } else if (now_ns - entry.since_ns > kReportWithinNs) {
    return wrong(entry, "its holder is gone, and nobody said so");
  }
  taken_.push_back(std::move(entry));
}

void DeliveryBook::tick(int64_t now_ns) {
  for (Entry& entry : std::exchange(undecided_, {})) give_up(std::move(entry));
  for (Entry& entry : std::exchange(waiting_, {})) settle_waiting(std::move(entry), now_ns);
  for (Entry& entry : std::exchange(taken_, {})) settle_taken(std::move(entry), now_ns);
  if (draining_ && !lossless()) drain();
  // The next frame goes out when the one before is taken: that keeps the order.
  while (waiting_.empty() && !backlog_.empty() && taken_.size() < kGroups[group_].hold) {
    Entry entry = std::move(backlog_.front());
    backlog_.pop_front();
    entry.since_ns = now_ns;
    offer(entry);
    waiting_.push_back(std::move(entry));
  }
}

void DeliveryBook::lost(const std::string& epoch, uint32_t slot, uint64_t generation,
                        uint32_t member) {
  const auto is_it = [&](const Entry& entry) {
    return entry.frame->slot == slot && entry.frame->generation == generation &&
           entry.frame->pool->epoch() == epoch;
  };
  const auto take_from = [&](auto& entries) -> std::shared_ptr<Entry> {
    const auto found = std::find_if(entries.begin(), entries.end(), is_it);
    if (found == entries.end()) return nullptr;
    auto entry = std::make_shared<Entry>(std::move(*found));
    entries.erase(found);
    return entry;
  };
  std::shared_ptr<Entry> entry = take_from(taken_);
  if (entry == nullptr) entry = take_from(waiting_);
  if (entry == nullptr) entry = take_from(undecided_);
  if (entry == nullptr) return lost_before(epoch, slot, generation, member);
  Packet packet = packet_of(Note::kGaveBack, *entry->frame, group_);
  packet.member = member;
  packet.attempt = ++entry->attempt;
  referee_.tell(packet);
  if (!lossless()) return give_up(std::move(*entry));
  const auto after = std::find_if(backlog_.begin(), backlog_.end(), [&](const Entry& other) {
    return entry->frame->name < other.frame->name;
  });
  backlog_.insert(after, std::move(*entry));
}

// Its holder was gone already when the delivery ended, but we had not heard of it.
void DeliveryBook::lost_before(const std::string& epoch, uint32_t slot, uint64_t generation,
                               uint32_t member) {
  for (Packet packet : closed_) {
    if (packet.slot != slot || packet.generation != generation) continue;
    if (std::string(packet.epoch.data(), packet.epoch.size()) != epoch) continue;
    packet.note = Note::kGaveBack;
    packet.member = member;
    referee_.tell(packet);
  }
}

bool DeliveryBook::displaced(const std::string& epoch, uint32_t slot, uint64_t generation) {
  for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
    const TortureFrame& frame = *it->frame;
    if (frame.slot != slot || frame.generation != generation || frame.pool->epoch() != epoch) {
      continue;
    }
    Entry entry = std::move(*it);
    waiting_.erase(it);
    give_up(std::move(entry));
    return lazy_;
  }
  return true;
}

void DeliveryBook::drain() {
  draining_ = true;
  if (lossless()) return;
  for (Entry& entry : std::exchange(waiting_, {})) give_up(std::move(entry));
}

std::string DeliveryBook::text() const {
  return std::string(name()) + ": " + std::to_string(backlog_.size()) + " to offer, " +
         std::to_string(waiting_.size()) + " on offer, " + std::to_string(undecided_.size()) +
         " undecided, " + std::to_string(taken_.size()) + " held";
}

}  // namespace framebus::test
