// The lock-free part of the bus: how a consumer leases a slot and how the
// producer takes it back, on two words that they do not both write.
//
//   consumer: lane := TENTATIVE(g)          producer: slot := RECLAIMING
//             read slot                               read every lane
//             PUBLISHED(g): lane := HELD(g)           TENTATIVE(g) or HELD(g): roll back
//             else: back out                          else: the slot is its own
//
// This is Dekker's pattern: each side writes its word and then reads the
// other's. It needs that not both reads miss the other's write, which
// acquire/release cannot give (a store may pass a later load, on x86 too).
// Hence all four accesses are seq_cst: in their one total order one of the two
// writes comes first, and the read that follows the second write sees it.
// seq_cst operations rather than fences, so that ThreadSanitizer can follow.
//
// Pixels are ordered by the same words: publish() stores the slot word after
// the pixels were written and take() loads it before they are read; let_go()
// stores the lane word after they were read and the scan loads it before they
// are overwritten.
//
// The fence ends all leases of one consumer that lives, whatever it is doing:
//
//   producer: fence := set                  consumer: lane := HELD(g)
//             read the lane, then never               read fence
//             look at it again                        set: there is no lease
//
// Dekker again, seq_cst again: a lease that the consumer takes for confirmed is
// one that the producer has seen and reports as taken away. It is void all the
// same, and still_holds() says so: it reads the fence after the pixels, which
// the producer overwrites only after it has set the fence (its seq_cst load of
// the lane, and the pool's mutex on the way to whoever writes, keep the writing
// behind it). So whoever has read an overwritten byte finds the fence set, also
// a process that was stopped for a week between any two instructions. The
// slot's generation stays what it is: others may lease the same frame, and
// their leases stay good.
//
// native/model/slot_protocol.pml is this protocol for a model checker.
#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>

#include "bus_layout.h"

namespace framebus {

enum class Take { kHeld, kStale, kFenced };

// Consumer: leases `generation` of a slot, or leaves the lane as it was (unless
// it is fenced: then nobody looks at the lane any more). The caller serialises
// its own calls for one lane word. An older generation never touches the lane:
// RELEASED of the current one must stay readable.
inline Take take(const std::atomic<uint64_t>& slot, std::atomic<uint64_t>& lane,
                 const std::atomic<uint64_t>& fence, uint64_t generation, uint32_t group) {
  // A HELD that the fence has overtaken must stand, see below: no second try.
  if (fence.load(std::memory_order_relaxed) != 0) return Take::kFenced;
  constexpr int kPatience = 256;  // Yields while the producer scans: it may have been preempted.
  const uint64_t before = lane.load(std::memory_order_relaxed);
  const LaneWord was = LaneWord::unpack(before);
  // A message that came twice: what is known of the first lease must not be lost.
  const bool again = was.generation == generation && was.had();
  const uint8_t closed_bit = group < kMaxGroups ? static_cast<uint8_t>(1U << group) : uint8_t{0};
  for (int attempt = 0; attempt < kPatience; ++attempt) {
    SlotWord word = SlotWord::unpack(slot.load(std::memory_order_seq_cst));
    if (word.generation != generation || (word.closed & closed_bit) != 0) return Take::kStale;
    if (word.state == SlotState::kPublished) {
      lane.store(LaneWord{generation, LanePhase::kTentative, again}.pack(),
                 std::memory_order_seq_cst);
      word = SlotWord::unpack(slot.load(std::memory_order_seq_cst));
      if (word.generation == generation && word.state == SlotState::kPublished &&
          (word.closed & closed_bit) == 0) {
        lane.store(LaneWord{generation, LanePhase::kHeld, again}.pack(), std::memory_order_seq_cst);
        // HELD stays: a producer that has answered "taken" must find it when it closes the lane.
        return fence.load(std::memory_order_seq_cst) == 0 ? Take::kHeld : Take::kFenced;
      }
      lane.store(before, std::memory_order_seq_cst);
    } else if (word.state != SlotState::kReclaiming) {
      return Take::kStale;
    }
    ::sched_yield();  // RECLAIMING may be rolled back; only then is "stale" wrong.
  }
  return Take::kStale;
}

// Consumer: ends its lease. The producer can tell from now on that it had one.
// Who has found the fence (or been told by still_holds(), and thrown away what
// it made of the pixels) leaves HELD: the producer must not take that for done.
inline void let_go(std::atomic<uint64_t>& lane, const std::atomic<uint64_t>& fence,
                   uint64_t generation) {
  if (fence.load(std::memory_order_relaxed) != 0) return;
  lane.store(LaneWord{generation, LanePhase::kReleased}.pack(), std::memory_order_seq_cst);
}

// Consumer: whether the pixels of a leased generation are still in the slot, and its own.
inline bool still_holds(const std::atomic<uint64_t>& slot, const std::atomic<uint64_t>& fence,
                        uint64_t generation) {
#ifndef __SANITIZE_THREAD__  // Which knows no fences, and needs none here.
  // As in a seqlock: pixels read before this call must not be read after it instead.
  std::atomic_thread_fence(std::memory_order_acquire);
#endif
  if (fence.load(std::memory_order_seq_cst) != 0) return false;
  const SlotWord word = SlotWord::unpack(slot.load(std::memory_order_seq_cst));
  return word.generation == generation &&
         (word.state == SlotState::kPublished || word.state == SlotState::kReclaiming);
}

// What the lanes of a slot say of one generation.
struct LaneScan {
  bool tentative = false;
  bool held = false;
  bool released = false;
  bool leased() const { return tentative || held; }
  void add(uint64_t lane_bits, uint64_t generation) {
    const LaneWord word = LaneWord::unpack(lane_bits);
    if (word.generation != generation) return;
    tentative |= word.phase == LanePhase::kTentative;
    held |= word.phase == LanePhase::kHeld;
    released |= word.had();
  }
};

// Producer: PUBLISHED -> RECLAIMING, scan, then `next`, or back to PUBLISHED
// when somebody leases the slot. `scan` reads every lane of the slot with
// seq_cst loads and says whether one of them leases it. The producer's own calls for one slot are
// serialised.
template <class Scan>
bool try_reclaim(std::atomic<uint64_t>& slot, SlotState next, Scan&& scan) {
  SlotWord word = SlotWord::unpack(slot.load(std::memory_order_relaxed));
  if (word.state != SlotState::kPublished) return false;
  const uint64_t published = word.pack();
  word.state = SlotState::kReclaiming;
  slot.store(word.pack(), std::memory_order_seq_cst);
  if (scan(word.generation)) {
    slot.store(published, std::memory_order_seq_cst);
    return false;
  }
  word.state = next;
  slot.store(word.pack(), std::memory_order_seq_cst);
  return true;
}

}  // namespace framebus
