#include "descriptor_plane.h"

#include <utility>

#include "core/monotonic.h"

namespace framebus::test {
namespace {

constexpr size_t kRemembered = 20'000;
constexpr uint64_t kLatestNs = 40'000'000;

}  // namespace

bool DescriptorPlane::alive(const Member& member) const {
  const Actor& actor = consumers_[member.consumer];
  return actor.life() == member.life && !actor.is(Actor::State::kDown) && !actor.leaving;
}

// Rather one that is not stopped.
bool DescriptorPlane::pick(uint32_t group, Member& member) {
  std::vector<uint32_t> up;
  std::vector<uint32_t> stopped;
  for (uint32_t i = 0; i < kConsumers.size(); ++i) {
    if (kConsumers[i] != group || !alive({i, consumers_[i].life()})) continue;
    (consumers_[i].is(Actor::State::kUp) ? up : stopped).push_back(i);
  }
  const std::vector<uint32_t>& from = up.empty() ? stopped : up;
  if (from.empty()) return false;
  const uint32_t chosen = from[random_.below(from.size())];
  member = {chosen, consumers_[chosen].life()};
  return true;
}

void DescriptorPlane::send(const Packet& hint, const Member& member) {
  if (!alive(member) || !ledger_.wanted(hint.group, hint.frame, hint.attempt)) return;
  ++(consumers_[member.consumer].feed().offer(hint) ? counts_.carried : counts_.lost);
}

void DescriptorPlane::send_later(const Packet& hint, const Member& member) {
  ++counts_.late;
  const auto delay_ns = static_cast<int64_t>(random_.below(kLatestNs));
  late_.push_back({monotonic_ns() + delay_ns, hint, member});
}

void DescriptorPlane::carry(const Packet& hint) {
  const Key key{hint.frame, hint.group};
  auto told = told_.find(key);
  if (told == told_.end() || !alive(told->second)) {
    Member member;
    if (!pick(hint.group, member)) {
      ++counts_.lost;
      return;
    }
    if (told == told_.end()) told_order_.push_back(key);
    told = told_.insert_or_assign(key, member).first;
    if (told_order_.size() > kRemembered) {
      told_.erase(told_order_.front());
      told_order_.pop_front();
    }
  }
  const Member member = told->second;
  if (bad_ != 0 && random_.one_in(bad_)) {
    ++counts_.lost;
    return;
  }
  if (bad_ != 0 && random_.one_in(bad_)) {
    ++counts_.doubled;
    if (random_.one_in(2)) {
      send(hint, member);
    } else {
      send_later(hint, member);
    }
  }
  if (bad_ != 0 && random_.one_in(bad_)) return send_later(hint, member);
  send(hint, member);
}

void DescriptorPlane::tick(int64_t now_ns, bool all) {
  for (Late& late : std::exchange(late_, {})) {
    if (all || late.due_ns <= now_ns) {
      send(late.hint, late.member);
    } else {
      late_.push_back(std::move(late));
    }
  }
}

}  // namespace framebus::test
