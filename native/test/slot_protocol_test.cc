// The lease protocol with threads on memory that ThreadSanitizer can see: one
// producer that overwrites slots as soon as it may, consumers that read them.
#include "core/slot_protocol.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "check.h"

using namespace framebus;

namespace {

const std::atomic<uint64_t> kNoFence{0};

constexpr size_t kConsumers = 3;
constexpr size_t kPayload = 256;

struct SharedSlot {
  std::atomic<uint64_t> word{SlotWord{}.pack()};
  std::array<std::atomic<uint64_t>, kConsumers> lanes{};
  std::array<uint64_t, kPayload> payload{};  // Not atomic: a race here is a torn frame.
};

LaneScan scan(const SharedSlot& slot, uint64_t generation) {
  LaneScan lanes;
  for (const auto& lane : slot.lanes) {
    lanes.add(lane.load(std::memory_order_seq_cst), generation);
  }
  return lanes;
}

// A delay that differs from round to round, so that the two sides meet everywhere.
void jitter(uint64_t round, uint64_t salt) {
  volatile uint64_t turns = round * 2654435761U % salt;
  while (turns > 0) turns = turns - 1;
}

// Mostly busy, so that the other side's next step is seen at once.
void spin(uint64_t round) {
  static thread_local uint64_t turns = 0;
  if (++turns % 1024 == 0) std::this_thread::yield();
  jitter(round, 7);
}

struct Counts {
  uint64_t held = 0;
  uint64_t stale = 0;
  uint64_t torn = 0;
};

void consume(SharedSlot& slot, size_t consumer, const std::atomic<bool>& stop, Counts& counts) {
  uint64_t last = 0;
  while (!stop) {
    const uint64_t generation = SlotWord::unpack(slot.word.load()).generation;
    if (generation == last) {
      std::this_thread::yield();
      continue;
    }
    if (take(slot.word, slot.lanes[consumer], kNoFence, generation, 0) == Take::kStale) {
      ++counts.stale;
      continue;
    }
    ++counts.held;
    last = generation;
    for (const uint64_t value : slot.payload) counts.torn += value != generation ? 1 : 0;
    if (!still_holds(slot.word, kNoFence, generation)) ++counts.torn;
    let_go(slot.lanes[consumer], kNoFence, generation);
  }
}

}  // namespace

TEST("words keep generation, closed groups and state") {
  const SlotWord slot{(uint64_t{1} << 48) - 1, 0xa5, SlotState::kRetained};
  const SlotWord back = SlotWord::unpack(slot.pack());
  CHECK(back.generation == slot.generation && back.closed == 0xa5);
  CHECK(back.state == SlotState::kRetained);
  const LaneWord lane = LaneWord::unpack(LaneWord{77, LanePhase::kHeld}.pack());
  CHECK(lane.generation == 77 && lane.phase == LanePhase::kHeld);
}

TEST("a slot is never overwritten while somebody leases it") {
  auto slot = std::make_unique<SharedSlot>();
  std::atomic<bool> stop{false};
  std::array<Counts, kConsumers> counts{};
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < kConsumers; ++i) {
    threads.emplace_back([&, i] { consume(*slot, i, stop, counts[i]); });
  }
  uint64_t generation = 0;
  uint64_t rolled_back = 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(1500);
  while (std::chrono::steady_clock::now() < until) {
    if (generation > 0 && !try_reclaim(slot->word, SlotState::kWriting,
                                       [&](uint64_t g) { return scan(*slot, g).leased(); })) {
      ++rolled_back;
      std::this_thread::yield();
      continue;
    }
    ++generation;
    slot->payload.fill(generation);
    slot->word.store(SlotWord{generation, 0, SlotState::kPublished}.pack());
    std::this_thread::yield();
  }
  stop = true;
  threads.clear();
  uint64_t held = 0;
  for (const Counts& c : counts) {
    CHECK(c.torn == 0);
    held += c.held;
  }
  std::printf("# %llu generations, %llu leases, %llu roll-backs\n",
              static_cast<unsigned long long>(generation), static_cast<unsigned long long>(held),
              static_cast<unsigned long long>(rolled_back));
  CHECK(generation > 100 && held > 100);
}

TEST("a delivery that ends is either taken or closed, never both") {
  // One consumer tries to lease what the producer closes at the same moment; in
  // every fourth round surely before, in every fourth surely after.
  auto slot = std::make_unique<SharedSlot>();
  std::atomic<uint64_t> round{0};
  std::atomic<uint64_t> ready{0};
  std::atomic<uint64_t> done{0};
  std::atomic<bool> leased{false};
  constexpr uint64_t kRounds = 20000;
  std::jthread consumer([&] {
    for (uint64_t r = 1; r <= kRounds; ++r) {
      while (round.load() < r) spin(r);
      ready = r;
      jitter(r, 211);
      leased = take(slot->word, slot->lanes[0], kNoFence, r, 0) == Take::kHeld;
      done = r;
    }
  });
  uint64_t raced = 0;
  uint64_t wrong = 0;
  for (uint64_t r = 1; r <= kRounds; ++r) {
    const uint64_t closed = SlotWord{r, 1, SlotState::kPublished}.pack();
    slot->word = SlotWord{r, 0, SlotState::kPublished}.pack();
    if (r % 4 == 0) slot->word = closed;
    round = r;
    while ((r % 4 == 1 ? done : ready).load() < r) spin(r);
    jitter(r, 97);
    slot->word = closed;
    const LaneScan lanes = scan(*slot, r);
    while (done.load() < r) spin(r);
    if (r % 4 == 0) wrong += leased ? 1 : 0;
    if (r % 4 == 1) wrong += leased && lanes.held ? 0 : 1;
    const bool decided_closed = !lanes.held && !lanes.tentative;
    wrong += (lanes.held && !leased) || (decided_closed && leased) ? 1 : 0;
    raced += r % 4 > 1 && !leased ? 1 : 0;
    let_go(slot->lanes[0], kNoFence, r);
  }
  CHECK(wrong == 0);
  std::printf("# %llu of %llu races won by the producer\n", static_cast<unsigned long long>(raced),
              static_cast<unsigned long long>(kRounds / 2));
}

TEST("a fence at any moment: no confirmed lease is overlooked, no overwritten pixel passes") {
  // The producer fences the consumer somewhere in its take() or its reading, then
  // overwrites the pixels at once; the slot word stays, so that only the fence can
  // tell. In every fourth round surely before, in every fourth surely in between.
  auto slot = std::make_unique<SharedSlot>();
  std::array<std::atomic<uint64_t>, kPayload> pixels{};
  std::atomic<uint64_t> fence{0};
  std::atomic<uint64_t> round{0};
  std::atomic<uint64_t> ready{0};
  std::atomic<uint64_t> done{0};
  std::atomic<bool> leased{false};
  std::atomic<uint64_t> torn{0};
  std::atomic<uint64_t> noticed{0};
  std::atomic<bool> dropped{false};
  std::atomic<uint64_t> taken{0};
  std::atomic<uint64_t> overwritten{0};
  constexpr uint64_t kRounds = 20000;
  std::jthread consumer([&] {
    for (uint64_t r = 1; r <= kRounds; ++r) {
      while (round.load() < r) spin(r);
      ready = r;
      jitter(r, 173);
      leased = take(slot->word, slot->lanes[0], fence, r, 0) == Take::kHeld;
      if (leased) {
        taken = r;
        while (r % 4 == 2 && overwritten.load() < r) spin(r);
        bool good = true;
        for (const auto& pixel : pixels) good &= pixel.load(std::memory_order_relaxed) == r;
        const bool valid = still_holds(slot->word, fence, r);
        dropped = !valid;
        torn += valid && !good ? 1 : 0;
        noticed += valid ? 0 : 1;
        let_go(slot->lanes[0], fence, r);
      }
      done = r;
    }
  });
  uint64_t overlooked = 0;
  uint64_t refused = 0;
  for (uint64_t r = 1; r <= kRounds; ++r) {
    fence = 0;
    for (auto& pixel : pixels) pixel.store(r, std::memory_order_relaxed);
    slot->word = SlotWord{r, 0, SlotState::kPublished}.pack();
    if (r % 4 == 0) fence = 1;
    round = r;
    while ((r % 4 == 2 ? taken : ready).load() < r) spin(r);
    jitter(r, 331);
    fence.store(1, std::memory_order_seq_cst);
    const LaneScan seen = scan(*slot, r);
    for (auto& pixel : pixels) pixel.store(0, std::memory_order_relaxed);
    overwritten = r;
    while (done.load() < r) spin(r);
    overlooked += leased && !seen.held && !seen.released ? 1 : 0;
    // What was thrown away is not reported as done.
    overlooked += leased && dropped && !scan(*slot, r).held ? 1 : 0;
    // What was seen is not taken back: a delivery may have been answered with it.
    overlooked += !leased && seen.held && !scan(*slot, r).held ? 1 : 0;
    refused += leased ? 0 : 1;
  }
  CHECK(overlooked == 0 && torn == 0);
  std::printf("# of %llu leases %llu were refused, %llu noticed it while they read\n",
              static_cast<unsigned long long>(kRounds), static_cast<unsigned long long>(refused),
              static_cast<unsigned long long>(noticed.load()));
  CHECK(refused >= kRounds / 4 && noticed >= kRounds / 4);
}

TEST("a fenced lane leases nothing, and is left as it was") {
  const std::atomic<uint64_t> word{SlotWord{5, 0, SlotState::kPublished}.pack()};
  const std::atomic<uint64_t> fence{static_cast<uint64_t>(LaneFence::kEnded)};
  std::atomic<uint64_t> lane{LaneWord{4, LanePhase::kReleased}.pack()};
  const uint64_t before = lane;
  CHECK(take(word, lane, fence, 5, 0) == Take::kFenced);
  CHECK(lane == before && !still_holds(word, fence, 5) && still_holds(word, kNoFence, 5));
}

TEST("an older generation leaves the lane alone, a failed lease restores it") {
  std::atomic<uint64_t> word{SlotWord{5, 0, SlotState::kPublished}.pack()};
  std::atomic<uint64_t> lane{0};
  CHECK(take(word, lane, kNoFence, 5, 0) == Take::kHeld);
  let_go(lane, kNoFence, 5);
  const uint64_t released = lane.load();
  CHECK(take(word, lane, kNoFence, 4, 0) == Take::kStale);
  CHECK(lane.load() == released);
  word = SlotWord{5, 1, SlotState::kPublished}.pack();
  CHECK(take(word, lane, kNoFence, 5, 0) == Take::kStale);
  CHECK(lane.load() == released);
  CHECK(take(word, lane, kNoFence, 5, 1) == Take::kHeld);  // Another group's delivery is open.
  let_go(lane, kNoFence, 5);
  CHECK(take(word, lane, kNoFence, 5, kNoGroup) == Take::kHeld);
  let_go(lane, kNoFence, 5);
  word = SlotWord{5, 0, SlotState::kReclaiming}.pack();
  CHECK(take(word, lane, kNoFence, 5, 0) == Take::kStale);
}

int main() { return framebus::test::run_all(); }
