// A pool's slots and deliveries, with lanes written as a consumer would.
#include "core/frame_pool.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <vector>

#include "check.h"
#include "core/bus_layout.h"
#include "core/error.h"
#include "core/slot_protocol.h"

using namespace framebus;

namespace {

FramePoolOptions options(uint32_t slots, std::vector<RouteGroup> groups) {
  FramePoolOptions result;
  result.stream_id = "test";
  result.format.width = 64;
  result.format.height = 48;
  result.layout = tight_layout(result.format);
  result.slots = slots;
  result.capacity = slots;
  result.groups = std::move(groups);
  return result;
}

// One slot to use; as many others as the groups' holds need are taken for good.
std::shared_ptr<FramePool> one_slot(const std::vector<RouteGroup>& groups) {
  const auto slots = static_cast<uint32_t>(groups.size());
  auto pool = FramePool::create(options(slots, groups));
  for (uint32_t i = 1; i < slots; ++i) CHECK(pool->acquire());
  return pool;
}

// What a consumer maps.
class Consumer {
 public:
  Consumer(FramePool& pool, const std::string& group)
      : pool_(pool), lane_(pool.open_lane({.consumer = "test", .group = group})) {
    const uint32_t slots = pool.options().slots;
    words_ = map_memfd(pool.fd(), pool_bytes(slots, pool.slot_stride()), Writers::kCreatorOnly);
    leases_ = map_memfd(lane_->fd(), lane_bytes(slots), Writers::kAnyHolder);
  }
  bool take(uint32_t slot, uint64_t generation) {
    return framebus::take(word(slot), lane(slot), fence(), generation, lane_->group()) ==
           Take::kHeld;
  }
  void let_go(uint32_t slot, uint64_t generation) {
    framebus::let_go(lane(slot), fence(), generation);
  }
  void tentative(uint32_t slot, uint64_t generation) {
    lane(slot) = LaneWord{generation, LanePhase::kTentative}.pack();
  }
  void tentative_again(uint32_t slot, uint64_t generation) {
    lane(slot) = LaneWord{generation, LanePhase::kTentative, true}.pack();
  }
  void none(uint32_t slot) { lane(slot) = 0; }
  std::vector<HeldSlot> die() { return pool_.close_lane(lane_); }
  void be_fenced() { lane_->fence(LaneFence::kRevoked); }
  bool valid(uint32_t slot, uint64_t generation) {
    return still_holds(word(slot), fence(), generation);
  }

 private:
  const std::atomic<uint64_t>& word(uint32_t slot) {
    return reinterpret_cast<const SlotLine*>(words_.data() + kPageBytes)[slot].word;
  }
  std::atomic<uint64_t>& lane(uint32_t slot) { return lane_word(leases_.data(), slot); }
  const std::atomic<uint64_t>& fence() { return lane_header(leases_.data()).fence; }
  FramePool& pool_;
  std::shared_ptr<Lane> lane_;
  Mapping words_;
  Mapping leases_;
};

std::string code_of(const FramePoolOptions& bad) {
  try {
    FramePool::create(bad);
  } catch (const Error& error) {
    return error.code();
  }
  return "";
}

}  // namespace

TEST("slots go round: free, writing, published, free") {
  const auto pool = FramePool::create(options(2, {"sink"}));
  CHECK(pool->epoch().size() == 32);
  const auto a = pool->acquire();
  const auto b = pool->acquire();
  CHECK(a && b && *a != *b);
  CHECK(!pool->acquire());
  pool->slot_data(*a)[0] = 1;
  CHECK(reinterpret_cast<uintptr_t>(pool->slot_data(*b)) % 64 == 0);
  const uint64_t first = pool->publish(*a);
  CHECK(first == 1);
  pool->discard(*b);
  CHECK(pool->counts().free == 1 && pool->counts().published == 1);
  CHECK(pool->acquire() == b);
  CHECK(!pool->acquire());  // The delivery to sink is pending.
  CHECK(pool->end_delivery(*a, first, "sink") == DeliveryEnd::kClosed);
  CHECK(pool->acquire() == a);
  const uint64_t second = pool->publish(*a);
  CHECK(second == 2);
  CHECK(pool->end_delivery(*a, first, "sink") == DeliveryEnd::kClosed);
  CHECK(pool->delivery(*a, first, "sink") == Delivery::kGone);
  CHECK(pool->end_delivery(*a, second, "sink") == DeliveryEnd::kClosed);
  CHECK(pool->acquire() == a);
  CHECK(pool->end_delivery(*a, first, "sink") == DeliveryEnd::kGone);  // Too long ago.
}

TEST("epochs differ and their times rise") {
  const auto a = FramePool::create(options(1, {}));
  const auto b = FramePool::create(options(1, {}));
  CHECK(a->epoch() != b->epoch());
  CHECK(b->created_unix_ns() > a->created_unix_ns());
}

TEST("a frame is kept until each group has had it") {
  const auto pool = one_slot({"infer", "sink"});
  Consumer infer(*pool, "infer");
  Consumer sink(*pool, "sink");
  const uint32_t slot = *pool->acquire();
  const uint64_t g = pool->publish(slot);
  CHECK(pool->delivery(slot, g, "infer") == Delivery::kNone);
  CHECK(infer.take(slot, g));
  CHECK(pool->delivery(slot, g, "infer") == Delivery::kHeld);
  CHECK(!pool->acquire());
  infer.let_go(slot, g);
  CHECK(pool->delivery(slot, g, "infer") == Delivery::kReleased);
  CHECK(!pool->acquire());  // Sink has not had it.
  CHECK(sink.take(slot, g));
  CHECK(!pool->acquire());  // Sink has it.
  sink.let_go(slot, g);
  CHECK(pool->acquire() == slot);
  CHECK(!sink.take(slot, g));
  CHECK(!sink.valid(slot, g));
}

TEST("ending a delivery says whether it was taken, for good") {
  const auto pool = one_slot({"infer", "sink"});
  Consumer infer(*pool, "infer");
  Consumer other(*pool, "infer");
  const uint32_t slot = *pool->acquire();
  uint64_t g = pool->publish(slot);
  other.tentative(slot, g);
  CHECK(pool->end_delivery(slot, g, "infer") == DeliveryEnd::kUndecided);
  other.none(slot);
  CHECK(pool->end_delivery(slot, g, "infer") == DeliveryEnd::kClosed);
  CHECK(!infer.take(slot, g));
  CHECK(pool->end_delivery(slot, g, "sink") == DeliveryEnd::kClosed);

  CHECK(pool->acquire() == slot);
  g = pool->publish(slot);
  CHECK(infer.take(slot, g));
  CHECK(pool->end_delivery(slot, g, "infer") == DeliveryEnd::kTaken);
  CHECK(infer.valid(slot, g));
  infer.let_go(slot, g);
  CHECK(pool->end_delivery(slot, g, "infer") == DeliveryEnd::kTaken);
  CHECK(!other.take(slot, g));
}

TEST("a dead consumer's leases come back, exactly those, and can be taken again") {
  const auto pool = FramePool::create(options(3, {"infer"}));
  Consumer alive(*pool, "infer");
  Consumer dead(*pool, "infer");
  std::vector<uint64_t> g(3);
  for (uint32_t i = 0; i < 3; ++i) CHECK(pool->acquire());
  for (uint32_t slot = 0; slot < 3; ++slot) g[slot] = pool->publish(slot);
  CHECK(dead.take(0, g[0]));
  CHECK(dead.take(1, g[1]));
  dead.let_go(1, g[1]);
  CHECK(alive.take(2, g[2]));
  const std::vector<HeldSlot> held = dead.die();
  CHECK(held.size() == 1 && held[0].slot == 0 && held[0].generation == g[0]);
  CHECK(pool->delivery(0, g[0], "infer") == Delivery::kNone);      // Redelivery is possible.
  CHECK(pool->delivery(1, g[1], "infer") == Delivery::kReleased);  // It had that one.
  CHECK(pool->delivery(2, g[2], "infer") == Delivery::kHeld);
  CHECK(pool->acquire() == 1U);
  CHECK(alive.take(0, g[0]));
  alive.let_go(0, g[0]);
  CHECK(pool->acquire() == 0U);
  CHECK(!pool->acquire());
  CHECK(dead.die().empty());
}

TEST("displacing takes the oldest frame that nobody leases, and says which") {
  const auto pool = FramePool::create(options(3, {"infer"}));
  Consumer infer(*pool, "infer");
  std::vector<HeldSlot> displaced;
  pool->set_displaced_hook([&](HeldSlot left) { displaced.push_back(left); });
  std::vector<uint32_t> slots;
  std::vector<uint64_t> g;
  for (int i = 0; i < 3; ++i) {
    slots.push_back(*pool->acquire_displacing());
    g.push_back(pool->publish(slots.back()));
  }
  CHECK(displaced.empty());
  CHECK(infer.take(slots[0], g[0]));
  CHECK(pool->acquire_displacing() == slots[1]);
  CHECK(displaced.size() == 1 && displaced[0].slot == slots[1] && displaced[0].generation == g[1]);
  CHECK(!infer.take(slots[1], g[1]));
  infer.let_go(slots[0], g[0]);
  CHECK(pool->acquire_displacing() == slots[0]);  // Done with: no loss.
  CHECK(displaced.size() == 1);
}

TEST("of a displaced frame it is known who has had it") {
  const auto pool = one_slot({"infer", "sink"});
  Consumer infer(*pool, "infer");
  const uint32_t slot = *pool->acquire();
  const uint64_t g = pool->publish(slot);
  CHECK(infer.take(slot, g));
  infer.let_go(slot, g);
  CHECK(infer.die().empty());
  CHECK(pool->acquire_displacing() == slot);  // Sink has not had it.
  for (int i = 0; i < 2; ++i) {
    CHECK(pool->end_delivery(slot, g, "infer") == DeliveryEnd::kTaken);
    CHECK(pool->delivery(slot, g, "infer") == Delivery::kReleased);
    CHECK(pool->end_delivery(slot, g, "sink") == DeliveryEnd::kClosed);
    CHECK(pool->delivery(slot, g, "sink") == Delivery::kGone);
    if (i == 0) pool->publish(slot);
  }
}

TEST("a frame that was released stays taken, also when its consumer dies in a second lease") {
  for (const bool confirmed : {false, true}) {
    const auto pool = FramePool::create(options(1, {"infer"}));
    Consumer infer(*pool, "infer");
    const uint32_t slot = *pool->acquire();
    const uint64_t g = pool->publish(slot);
    CHECK(infer.take(slot, g));
    infer.let_go(slot, g);
    if (confirmed) {
      CHECK(infer.take(slot, g));
      CHECK(pool->delivery(slot, g, "infer") == Delivery::kHeld);
    } else {
      infer.tentative_again(slot, g);
    }
    CHECK(!pool->acquire_displacing());
    CHECK(infer.die().empty());
    CHECK(pool->end_delivery(slot, g, "infer") == DeliveryEnd::kTaken);
    CHECK(pool->acquire() == slot);
  }
}

TEST("a decoder may keep reclaimed slots") {
  const auto pool = FramePool::create(options(2, {"sink"}));
  std::vector<uint32_t> asked;
  pool->set_reclaim_hook([&](uint32_t slot) { asked.push_back(slot); });
  const uint32_t a = *pool->acquire();
  const uint32_t b = *pool->acquire();
  const uint64_t ga = pool->publish(a);
  const uint64_t gb = pool->publish(b);
  pool->end_delivery(a, ga, "sink");
  CHECK(!pool->acquire());
  CHECK(asked == std::vector<uint32_t>{a});
  CHECK(pool->delivery(a, ga, "sink") == Delivery::kGone);
  CHECK(pool->counts().writing == 1 && pool->counts().published == 1);
  pool->finish_reclaim(a);
  CHECK(pool->acquire() == a);
  pool->set_reclaim_hook([&](uint32_t slot) { pool->finish_reclaim(slot); });
  pool->end_delivery(b, gb, "sink");
  CHECK(pool->acquire() == b);
}

TEST("displacing never gives up a frame for a slot that a decoder keeps") {
  const auto pool = FramePool::create(options(3, {"infer"}));
  Consumer infer(*pool, "infer");
  std::vector<HeldSlot> displaced;
  std::vector<uint32_t> reclaimed;
  pool->set_displaced_hook([&](HeldSlot left) { displaced.push_back(left); });
  pool->set_reclaim_hook([&](uint32_t slot) {
    reclaimed.push_back(slot);
    if (slot != 0) pool->finish_reclaim(slot);
  });
  std::vector<uint64_t> g;
  for (uint32_t slot = 0; slot < 3; ++slot) CHECK(pool->acquire() == slot);
  for (uint32_t slot = 0; slot < 3; ++slot) g.push_back(pool->publish(slot));
  pool->set_kept(0, true);
  pool->set_kept(2, true);
  CHECK(pool->acquire_displacing() == 1U);  // Not the oldest: that would win nothing.
  CHECK(displaced.size() == 1 && displaced[0].slot == 1);
  CHECK(!pool->acquire_displacing());
  CHECK(displaced.size() == 1 && infer.take(0, g[0]));  // All the others are still to be had.
  infer.let_go(0, g[0]);
  CHECK(!pool->acquire_displacing());  // Done with, but kept: costs nothing, wins nothing yet.
  CHECK(displaced.size() == 1 && reclaimed == (std::vector<uint32_t>{1, 0}));
  pool->set_kept(0, false);
  pool->finish_reclaim(0);
  CHECK(pool->acquire_displacing() == 0U && displaced.size() == 1);
  pool->set_kept(2, false);
  CHECK(pool->acquire_displacing() == 2U && displaced.size() == 2);
  CHECK(pool->state().frames_displaced == 2);
}

TEST("a fenced consumer's leases come back, and are void") {
  const auto pool = FramePool::create(options(2, {"infer", "sink"}));
  Consumer fenced(*pool, "infer");
  Consumer sink(*pool, "sink");
  const uint32_t slot = *pool->acquire();
  const uint64_t g = pool->publish(slot);
  CHECK(fenced.take(slot, g) && sink.take(slot, g));
  fenced.be_fenced();
  fenced.let_go(slot, g);  // Too late to count as done with.
  const std::vector<HeldSlot> held = fenced.die();
  CHECK(held.size() == 1 && held[0].slot == slot);
  CHECK(!fenced.valid(slot, g) && sink.valid(slot, g));
  CHECK(pool->delivery(slot, g, "infer") == Delivery::kNone);
  CHECK(!fenced.take(slot, g));
  Consumer again(*pool, "infer");
  CHECK(again.take(slot, g) && again.valid(slot, g));
  fenced.none(slot);  // Whatever it writes now, nobody looks.
  CHECK(pool->delivery(slot, g, "infer") == Delivery::kHeld);
}

TEST("a retired pool drains") {
  const auto pool = FramePool::create(options(2, {"infer", "sink"}));
  Consumer infer(*pool, "infer");
  const uint32_t slot = *pool->acquire();
  const uint64_t g = pool->publish(slot);
  CHECK(!pool->drained());
  pool->retire();
  CHECK(!pool->acquire() && !pool->acquire_displacing());
  CHECK(infer.take(slot, g));  // What is published can still be had.
  pool->end_deliveries();
  CHECK(!pool->drained());
  infer.let_go(slot, g);
  CHECK(pool->drained());
}

TEST("the memory cannot be written, resized or executed by a consumer") {
  const auto pool = FramePool::create(options(2, {"sink"}));
  const size_t bytes = pool_bytes(2, pool->slot_stride());
  CHECK(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, pool->fd(), 0) == MAP_FAILED);
  CHECK(errno == EPERM);
  void* const view = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, pool->fd(), 0);
  CHECK(view != MAP_FAILED);
  CHECK(::mprotect(view, bytes, PROT_READ | PROT_WRITE) != 0 && errno == EACCES);
  ::munmap(view, bytes);
  const char byte = 1;
  CHECK(::pwrite(pool->fd(), &byte, 1, 0) < 0 && errno == EPERM);
  CHECK(::ftruncate(pool->fd(), 0) != 0 && errno == EPERM);
  CHECK(::fcntl(pool->fd(), F_ADD_SEALS, F_SEAL_WRITE) != 0 && errno == EPERM);
  CHECK((::fcntl(pool->fd(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(::fallocate(pool->fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) != 0);
}

TEST("memory without seals or of the wrong size is not mapped") {
  UniqueFd plain(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  CHECK(::ftruncate(plain.get(), 8192) == 0);
  int refused = 0;
  try {
    map_memfd(plain.get(), 4096, Writers::kAnyHolder);
  } catch (const Error& error) {
    refused += std::string(error.code()) == "BUS_MEMORY";
  }
  const Memfd lane = create_memfd("test", 4096, Writers::kAnyHolder);
  try {
    map_memfd(lane.fd.get(), 8192, Writers::kAnyHolder);
  } catch (const Error&) {
    ++refused;
  }
  try {
    map_memfd(lane.fd.get(), 4096, Writers::kCreatorOnly);  // A writable pool.
  } catch (const Error&) {
    ++refused;
  }
  CHECK(refused == 3);
  const UniqueFd holes(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  CHECK(::ftruncate(holes.get(), 8192) == 0 && ::pwrite(holes.get(), "x", 1, 0) == 1);
  CHECK(::fcntl(holes.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
  CHECK(map_memfd(holes.get(), 4096, Writers::kAnyHolder).bytes() == 4096);
  std::string why;
  try {
    map_memfd(holes.get(), 8192, Writers::kAnyHolder);
  } catch (const Error& error) {
    why = error.what();
  }
  CHECK(why.find("not allocated") != std::string::npos);
}

TEST("bad options are refused") {
  FramePoolOptions bad = options(0, {});
  CHECK(code_of(bad) == "BAD_OPTIONS");
  bad = options(2000, {});
  CHECK(code_of(bad) == "BAD_OPTIONS");
  bad = options(1, std::vector<RouteGroup>(9, "x"));
  CHECK(code_of(bad) == "BAD_OPTIONS");
  bad = options(1, {"sink", "sink"});
  CHECK(code_of(bad) == "BAD_OPTIONS");
  bad = options(1, {});
  bad.layout.offset[2] = bad.layout.slot_bytes;
  CHECK(code_of(bad) == "BAD_OPTIONS");
  bad = options(1, {});
  bad.format.width = 0;
  CHECK(code_of(bad) == "BAD_OPTIONS");
  const auto pool = FramePool::create(options(1, {"sink"}));
  CHECK(pool->end_delivery(0, 1, "nobody") == DeliveryEnd::kGone);
  bool thrown = false;
  try {
    pool->end_delivery(7, 1, "sink");
  } catch (const Error&) {
    thrown = true;
  }
  CHECK(thrown);
}

int main() { return framebus::test::run_all(); }
