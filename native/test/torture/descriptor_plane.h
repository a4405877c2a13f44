// Carries descriptors from producers to the members of their groups, and is as
// bad at it as a network may be: loses, doubles, delays.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "../fuzz_kit.h"
#include "actor.h"
#include "cast.h"
#include "ledger.h"

namespace framebus::test {

struct PlaneCounts {
  uint64_t carried = 0;
  uint64_t lost = 0;
  uint64_t doubled = 0;
  uint64_t late = 0;
};

class DescriptorPlane {
 public:
  DescriptorPlane(Random& random, const Ledger& ledger, std::vector<Actor>& consumers)
      : random_(random), ledger_(ledger), consumers_(consumers) {}

  // While it is bad, one in `bad` descriptors is lost, one doubled, one late.
  // 0: it is good.
  void set_bad(uint64_t bad) { bad_ = bad; }
  void carry(const Packet& hint);
  // Delivers what is due; `all`: and what is not.
  void tick(int64_t now_ns, bool all = false);
  const PlaneCounts& counts() const { return counts_; }

 private:
  // One member, in one of its lives.
  struct Member {
    uint32_t consumer = 0;
    uint32_t life = 0;
  };
  bool alive(const Member& member) const;
  bool pick(uint32_t group, Member& member);
  void send(const Packet& hint, const Member& member);
  void send_later(const Packet& hint, const Member& member);

  struct Late {
    int64_t due_ns;
    Packet hint;
    Member member;
  };
  using Key = std::pair<FrameName, uint32_t>;  // And group.

  Random& random_;                 // Borrowed.
  const Ledger& ledger_;           // Borrowed.
  std::vector<Actor>& consumers_;  // Borrowed.
  uint64_t bad_ = 0;
  std::vector<Late> late_;
  // What was said of a frame is said to the same member again while that lives:
  // two members with one descriptor would both be right to lease the frame.
  std::map<Key, Member> told_;
  std::deque<Key> told_order_;
  PlaneCounts counts_;
};

}  // namespace framebus::test
