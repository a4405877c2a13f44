// Who may hold how many of a pool's frames, and what others are told.
#include <string>
#include <vector>

#include "bus_rig.h"
#include "check.h"

using namespace framebus;
using namespace framebus::test;

namespace {

FramePoolOptions sixteen() {
  FramePoolOptions options;
  options.slots = 20;
  options.capacity = 16;
  options.groups = {{"infer", 4}, {"sink", 8}};
  return options;
}

BusConsumerOptions observer(const std::string& name, uint32_t hold, uint32_t min_hold = 1) {
  return {.name = name, .group = "observers", .max_held = 64, .hold = hold, .min_hold = min_hold};
}

// Publishes in every free slot.
std::vector<HeldSlot> fill(FramePool& pool) {
  std::vector<HeldSlot> frames;
  while (const auto slot = pool.acquire()) frames.push_back({*slot, write_frame(pool, *slot, 1)});
  return frames;
}

// How many of the frames it gets before it is told that its quota is reached.
size_t most_held(Worker& worker, const FramePool& pool, const std::vector<HeldSlot>& frames) {
  std::vector<std::shared_ptr<SlotLease>> leases;
  for (const HeldSlot& frame : frames) {
    auto result = worker.consumer->lease(pool.epoch(), frame.slot, frame.generation);
    if (const auto* refusal = std::get_if<LeaseRefusal>(&result)) {
      CHECK(*refusal == LeaseRefusal::kQuota);
      return leases.size();
    }
    leases.push_back(std::get<std::shared_ptr<SlotLease>>(result));
  }
  return leases.size();
}

}  // namespace

TEST("holds are granted as far as the pool goes, then refused with the numbers") {
  const Directory directory;
  Producer producer(directory);
  const auto pool = producer.pool(sixteen());
  Worker first(directory, observer("observer-1", 3));
  Worker second(directory, observer("observer-2", 100));
  Worker third(directory, observer("observer-3", 5));
  CHECK(first.consumer->hold(pool->epoch()) == 0);
  first.consumer->attach("ingest-0", pool->epoch());
  CHECK(first.consumer->hold(pool->epoch()) == 3);
  second.consumer->attach("ingest-0", pool->epoch());
  CHECK(second.consumer->hold(pool->epoch()) == 1);  // What was left of 16.
  CHECK(third.attach_error("ingest-0", pool->epoch()) == "BUS_ADMISSION");
  CHECK(third.last_message ==
        "frame bus producer 'ingest-0': pool of stream 'gate': 16 slots may be held, group infer "
        "has 4, group sink 8, observer-1 3, observer-2 1; none is left, at least 1 was asked by "
        "observer-3; raise slots of the stream, or lower hold");
  CHECK(third.consumer->hold(pool->epoch()) == 0 && third.unattached(pool->epoch()));
  CHECK(producer.server->consumers().at("observers") == 3);  // It may try another pool.

  const auto frames = fill(*pool);
  CHECK(frames.size() == 20);
  CHECK(most_held(first, *pool, frames) == 3 && most_held(second, *pool, frames) == 1);

  // What somebody gives back is there for others.
  first.consumer->close();
  CHECK(soon([&] { return third.attach_error("ingest-0", pool->epoch()).empty(); }));
  CHECK(third.consumer->hold(pool->epoch()) == 3);
}

TEST("members of a group share what is reserved for it, also before they come") {
  const Directory directory;
  Producer producer(directory);
  const auto pool = producer.pool(sixteen());
  Worker greedy(directory, observer("observer", 1000));
  greedy.consumer->attach("ingest-0", pool->epoch());
  CHECK(greedy.consumer->hold(pool->epoch()) == 4);
  const auto member = [](uint32_t hold, uint32_t min_hold) {
    return BusConsumerOptions{
        .name = "w", .group = "infer", .max_held = 64, .hold = hold, .min_hold = min_hold};
  };
  Worker a(directory, member(64, 4));
  Worker b(directory, member(2, 1));
  Worker c(directory, member(64, 6));
  a.consumer->attach("ingest-0", pool->epoch());
  b.consumer->attach("ingest-0", pool->epoch());
  CHECK(a.consumer->hold(pool->epoch()) == 4 && b.consumer->hold(pool->epoch()) == 2);
  CHECK(c.attach_error("ingest-0", pool->epoch()) == "BUS_ADMISSION");
  CHECK(c.last_message.find("a member of group infer may hold 4, at least 6 were asked by w") !=
        std::string::npos);
  const auto frames = fill(*pool);
  CHECK(most_held(a, *pool, frames) == 4 && most_held(b, *pool, frames) == 2);
}

TEST("two leases of one frame count as one frame of the hold") {
  const Directory directory;
  Producer producer(directory);
  const auto pool = producer.pool(sixteen());
  Worker worker(directory, observer("observer", 1));
  worker.consumer->attach("ingest-0", pool->epoch());
  const auto frames = fill(*pool);
  const auto a = worker.lease(*pool, frames[0].slot, frames[0].generation);
  const auto b = worker.lease(*pool, frames[0].slot, frames[0].generation);
  CHECK(a && b && worker.consumer->held() == 2);
  CHECK(worker.refusal(pool->epoch(), frames[1].slot, frames[1].generation) ==
        LeaseRefusal::kQuota);
}

TEST("a route that does not fit its pool is refused with the numbers") {
  const Directory directory;
  Producer producer(directory);
  const auto error_of = [&](FramePoolOptions options) {
    try {
      producer.pool(std::move(options));
    } catch (const Error& error) {
      return std::string(error.code()) + " " + error.what();
    }
    return std::string();
  };
  FramePoolOptions options = sixteen();
  options.capacity = 0;  // All but one.
  options.slots = 12;
  CHECK(error_of(options) ==
        "BAD_OPTIONS frame pool of stream 'gate': its groups hold up to 12 frames (infer 4, sink "
        "8), but only 11 of its 12 slots may be held; raise slots of the stream, or lower hold");
  options.slots = 13;
  CHECK(error_of(options).empty());
  options.groups = {{"infer", 0}};
  CHECK(error_of(options).find("may hold no frame") != std::string::npos);
  options.groups = {"infer"};
  options.slots = 1;
  CHECK(error_of(options).empty());
}

TEST("counters say what became of every frame") {
  const Directory directory;
  Producer producer(directory);
  FramePoolOptions options;
  options.slots = 3;
  options.capacity = 3;
  options.groups = {"infer", {"sink", 2}};
  const auto pool = producer.pool(options);
  Worker infer(directory);
  infer.consumer->attach("ingest-0", pool->epoch());
  const auto state = [&] { return producer.server->pools().at(0); };
  // Frame 1 is taken by infer, frames 2 and 3 by nobody, frame 4 displaces frame 2.
  const uint32_t a = *pool->acquire();
  const uint64_t ga = write_frame(*pool, a, 1);
  auto lease = infer.lease(*pool, a, ga);
  const uint32_t b = *pool->acquire();
  const uint64_t gb = write_frame(*pool, b, 2);
  CHECK(infer.refusal(pool->epoch(), b, gb) == LeaseRefusal::kQuota);
  const uint32_t c = *pool->acquire();
  write_frame(*pool, c, 3);
  CHECK(pool->acquire_displacing() == b);
  write_frame(*pool, b, 4);
  infer.consumer->count_displaced(pool->epoch(), 5);
  PoolState now = state();
  CHECK(now.stream_id == "gate" && now.epoch == pool->epoch() && !now.retired);
  CHECK(now.slots == 3 && now.capacity == 3 && now.width == 322 && now.height == 181);
  CHECK(now.counts.published == 3 && now.frames_published == 4 && now.frames_displaced == 1);
  CHECK(now.groups.size() == 2 && now.groups[0].group.name == "infer");
  CHECK(now.groups[0].delivered == 0 && now.groups[0].missed == 1);
  CHECK(now.groups[1].delivered == 0 && now.groups[1].missed == 1);
  CHECK(now.consumers.size() == 1);
  const ConsumerState& consumer = now.consumers[0];
  CHECK(consumer.consumer == "worker" && consumer.group == "infer" && consumer.hold == 1);
  CHECK(consumer.peer_uid == ::getuid());
  CHECK(consumer.counts.delivered == 1 && consumer.counts.held == 1);
  CHECK(consumer.counts.quota == 1 && consumer.counts.displaced == 5);
  lease.reset();
  CHECK(infer.refusal(pool->epoch(), b, gb) == LeaseRefusal::kStale);
  CHECK(state().consumers[0].counts.stale == 1);
  pool->end_delivery(a, ga, "sink");
  now = state();
  CHECK(now.consumers[0].counts.held == 0 && now.consumers[0].counts.held_most == 1);
  CHECK(now.groups[0].delivered == 1 && now.groups[0].missed == 1);
  CHECK(now.groups[1].delivered == 0 && now.groups[1].missed == 2);
  // Counting ahead and counting at the end are the same.
  CHECK(pool->acquire() == a);
  now = state();
  CHECK(now.groups[0].delivered == 1 && now.groups[1].missed == 2 && now.counts.writing == 1);
  pool->retire();
  CHECK(state().retired);
}

int main() { return framebus::test::run_all(); }
