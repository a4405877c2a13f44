#include "ledger.h"

namespace framebus::test {

void Ledger::published(const FrameName& frame) {
  Life& life = lives_[{frame.stream, frame.life}];
  ++frames_;
  life.published = frame.seq;
  for (auto& entries : life.groups) entries.resize(frame.seq);
}

Ledger::Entry* Ledger::find(uint32_t group, const FrameName& frame) {
  const auto life = lives_.find({frame.stream, frame.life});
  if (life == lives_.end() || group >= kGroups.size()) return nullptr;
  std::vector<Entry>& entries = life->second.groups[group];
  return frame.seq == 0 || frame.seq > entries.size() ? nullptr : &entries[frame.seq - 1];
}

void Ledger::gave_back(uint32_t group, const FrameName& frame) {
  Entry* const entry = find(group, frame);
  if (entry == nullptr) return;
  ++entry->given_back;
  ++given_back_;
}

void Ledger::closed(uint32_t group, const FrameName& frame) {
  if (Entry* const entry = find(group, frame)) entry->closed = true;
}

void Ledger::done(uint32_t group, const FrameName& frame, uint32_t member) {
  Entry* const entry = find(group, frame);
  if (entry == nullptr) return;
  ++done_;
  if (++entry->done > 1) {
    ++repeated_;
    return;
  }
  entry->order = ++order_;
  entry->member = static_cast<uint8_t>(member);
  ++lives_[{frame.stream, frame.life}].done[group];
}

bool Ledger::wanted(uint32_t group, const FrameName& frame, uint32_t attempt) const {
  const auto life = lives_.find({frame.stream, frame.life});
  if (life == lives_.end()) return false;
  const std::vector<Entry>& entries = life->second.groups[group];
  return frame.seq > 0 && frame.seq <= entries.size() && entries[frame.seq - 1].done <= attempt;
}

const Ledger::Life* Ledger::present(uint32_t stream) const {
  const auto after = lives_.upper_bound({stream, UINT32_MAX});
  if (after == lives_.begin()) return nullptr;
  const auto last = std::prev(after);
  return last->first.first == stream ? &last->second : nullptr;
}

uint64_t Ledger::published_now(uint32_t stream) const {
  const Life* const life = present(stream);
  return life == nullptr ? 0 : life->published;
}

uint64_t Ledger::done_now(uint32_t stream, uint32_t group) const {
  const Life* const life = present(stream);
  return life == nullptr ? 0 : life->done[group];
}

void Ledger::check_group(const Life& life, const std::string& where, uint32_t group, bool alive,
                         std::vector<std::string>& faults) {
  const std::string of = " for group " + std::string(kGroups[group].name);
  std::array<uint64_t, kConsumers.size()> last{};  // By member.
  for (uint64_t i = 0; i < life.groups[group].size(); ++i) {
    const Entry& entry = life.groups[group][i];
    const std::string frame = where + " frame " + std::to_string(i + 1) + of + ": ";
    if (entry.done > 1 + entry.given_back) {
      faults.push_back(frame + "done " + std::to_string(entry.done) + " times, given back " +
                       std::to_string(entry.given_back) + " times");
    }
    if (entry.closed && entry.done > 0 && entry.given_back == 0) {
      faults.push_back(frame + "done by c" + std::to_string(entry.member) +
                       " although its delivery had ended with nobody having it");
    }
    if (!kGroups[group].lossless) continue;
    if (alive && entry.done == 0) faults.push_back(frame + "lost");
    if (entry.done == 0 || entry.given_back > 0) continue;
    if (entry.order < last[entry.member]) faults.push_back(frame + "not in order");
    last[entry.member] = entry.order;
  }
}

std::vector<std::string> Ledger::faults(uint32_t stream, uint32_t life, bool alive) const {
  std::vector<std::string> faults;
  const auto found = lives_.find({stream, life});
  if (found == lives_.end()) return faults;
  const std::string where =
      std::string(kStreams[stream].producer) + " life " + std::to_string(life);
  for (uint32_t group = 0; group < kGroups.size(); ++group) {
    if (on_route(stream, group)) check_group(found->second, where, group, alive, faults);
  }
  return faults;
}

}  // namespace framebus::test
