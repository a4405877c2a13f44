// Groups that come to a route, and leave it, while frames flow.
#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "bus_rig.h"
#include "check.h"

using namespace framebus;
using namespace framebus::test;

namespace {

FramePoolOptions with_groups(uint32_t slots, std::vector<RouteGroup> groups) {
  FramePoolOptions options;
  options.slots = slots;
  options.capacity = slots;
  options.groups = std::move(groups);
  return options;
}

template <class Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(error.code()) + " " + error.what();
  }
  return "";
}

}  // namespace

TEST("a group gets the frames published while it is open, no others") {
  const Directory directory;
  const Producer producer(directory);
  const auto pool = producer.pool(with_groups(3, {"sink"}));
  const uint32_t before = *pool->acquire();
  const uint64_t g_before = write_frame(*pool, before, 1);
  pool->open_group("tap");
  pool->open_group("tap");
  Worker tap(directory, "tap");
  tap.consumer->attach("ingest-0", pool->epoch());
  CHECK(tap.refusal(pool->epoch(), before, g_before) == LeaseRefusal::kStale);
  CHECK(pool->end_delivery(before, g_before, "tap") == DeliveryEnd::kClosed);

  const uint32_t during = *pool->acquire();
  const uint64_t g_during = write_frame(*pool, during, 2);
  CHECK(pool->end_delivery(before, g_before, "sink") == DeliveryEnd::kClosed);
  CHECK(pool->end_delivery(during, g_during, "sink") == DeliveryEnd::kClosed);
  CHECK(pool->acquire() != during && pool->acquire() != during);  // It waits for the tap.
  CHECK(!pool->acquire());
  CHECK(pool->delivery(during, g_during, "tap") == Delivery::kNone);
  auto lease = tap.lease(*pool, during, g_during);
  CHECK(lease != nullptr && pool->delivery(during, g_during, "tap") == Delivery::kHeld);
  lease.reset();
  CHECK(pool->delivery(during, g_during, "tap") == Delivery::kReleased);
  CHECK(pool->acquire() == during);
  const uint64_t g_last = write_frame(*pool, during, 3);
  pool->end_delivery(during, g_last, "sink");
  CHECK(!pool->acquire());
  pool->close_group("tap");
  pool->close_group("nobody");
  CHECK(tap.refusal(pool->epoch(), during, g_last) == LeaseRefusal::kStale);
  CHECK(pool->acquire() == during);
  const uint64_t g_after = write_frame(*pool, during, 4);
  pool->end_delivery(during, g_after, "sink");
  CHECK(pool->acquire() == during);  // The tap is not asked any more.
}

TEST("a lease that a closed group's member holds stays good, and keeps its slot") {
  const Directory directory;
  const Producer producer(directory);
  const auto pool = producer.pool(with_groups(2, {}));
  pool->open_group({"tap", 2});
  Worker tap(directory, "tap");
  tap.consumer->attach("ingest-0", pool->epoch());
  CHECK(tap.consumer->hold(pool->epoch()) == 2);
  const uint32_t slot = *pool->acquire();
  CHECK(pool->acquire());
  const uint64_t g = write_frame(*pool, slot, 9);
  auto lease = tap.lease(*pool, slot, g);
  pool->close_group("tap");
  CHECK(!pool->acquire_displacing());
  CHECK(lease->valid());
  // What it still holds is not there for others yet.
  CHECK(error_of([&] {
          pool->open_group({"next", 2});
        }) ==
        "BUS_ADMISSION pool of stream 'gate': 2 slots may be held, closed groups has 1; 1 is "
        "left, group next needs 2; raise slots of the stream, or lower hold");
  lease.reset();
  pool->open_group({"next", 2});
  CHECK(pool->acquire() == slot);
}

TEST("a new group never inherits an old one's members, nor what they had") {
  const Directory directory;
  const Producer producer(directory);
  const auto pool = producer.pool(with_groups(10, {}));
  for (uint32_t i = 0; i < kMaxGroups; ++i) pool->open_group("tap-" + std::to_string(i));
  const auto one_more = [&] { return error_of([&] { pool->open_group("one-more"); }); };
  CHECK(one_more() ==
        "BUS_ADMISSION pool of stream 'gate': it has 8 consumer groups, group one-more would be "
        "one more; close one");
  auto member = std::make_unique<Worker>(directory, "tap-3");
  member->consumer->attach("ingest-0", pool->epoch());
  const uint32_t slot = *pool->acquire();
  const uint64_t g = write_frame(*pool, slot, 1);
  member->lease(*pool, slot, g).reset();  // Had it, and let go.
  CHECK(pool->delivery(slot, g, "tap-3") == Delivery::kReleased);
  pool->close_group("tap-3");
  CHECK(!one_more().empty());  // Its member is still there.
  pool->open_group("tap-3");
  CHECK(pool->delivery(slot, g, "tap-3") == Delivery::kReleased);
  const uint32_t other = *pool->acquire();
  const uint64_t later = write_frame(*pool, other, 2);
  CHECK(member->lease(*pool, other, later) != nullptr);  // The same group is back.
  pool->close_group("tap-3");
  member.reset();
  CHECK(soon([&] { return one_more().empty(); }));
  CHECK(pool->delivery(slot, g, "one-more") == Delivery::kNone);
  CHECK(pool->end_delivery(slot, g, "one-more") == DeliveryEnd::kClosed);
  CHECK(pool->end_delivery(slot, g, "tap-3") == DeliveryEnd::kGone);
  CHECK(producer.server->pools().at(0).groups.size() == kMaxGroups);
}

TEST("a group's hold counts from when it opens, and may be raised") {
  const Directory directory;
  const Producer producer(directory);
  const auto pool = producer.pool(with_groups(8, {{"sink", 4}}));
  Worker observer(directory, {.name = "observer", .group = "none", .max_held = 9, .hold = 2});
  observer.consumer->attach("ingest-0", pool->epoch());
  CHECK(error_of([&] {
          pool->open_group({"tap", 3});
        }) ==
        "BUS_ADMISSION pool of stream 'gate': 8 slots may be held, group sink has 4, observer 2; "
        "2 are left, group tap needs 3; raise slots of the stream, or lower hold");
  pool->open_group({"tap", 1});
  pool->open_group({"tap", 2});
  CHECK(error_of([&] { pool->open_group({"tap", 3}); }).find("BUS_ADMISSION") == 0);
  Worker tap(directory, {.name = "tap", .group = "tap", .max_held = 9});
  tap.consumer->attach("ingest-0", pool->epoch());
  CHECK(tap.consumer->hold(pool->epoch()) == 2);
}

TEST("groups that come and go lose no slot and tear no frame") {
  const Directory directory;
  const Producer producer(directory);
  const auto pool = producer.pool(with_groups(8, {{"sink", 2}}));
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> torn{0};
  std::atomic<uint64_t> leased{0};
  std::array<std::atomic<uint64_t>, 8> newest{};
  std::jthread route([&] {
    for (uint64_t i = 0; !stop; ++i) {
      pool->open_group({i % 2 == 0 ? "tap-a" : "tap-b", 2});
      std::this_thread::sleep_for(std::chrono::microseconds(i * 37 % 500));
      pool->close_group(i % 2 == 0 ? "tap-a" : "tap-b");
    }
  });
  std::vector<std::jthread> members;
  for (const char* group : {"sink", "tap-a", "tap-b"}) {
    members.emplace_back([&, group] {
      while (!stop) {
        Worker worker(directory, {.name = group, .group = group, .max_held = 1, .hold = 1});
        // While its group is closed it is anybody, and there may be no room.
        if (!worker.attach_error("ingest-0", pool->epoch()).empty()) continue;
        for (uint32_t i = 0; i < 3000 && !stop; ++i) {
          const uint32_t slot = i % 8;
          const uint64_t generation = newest[slot];
          const auto lease = worker.lease(*pool, slot, generation);
          if (lease == nullptr) continue;
          ++leased;
          const uint8_t value = lease->data()[0];
          for (size_t at = 0; at < lease->layout().slot_bytes; at += 997) {
            torn += lease->data()[at] != value ? 1 : 0;
          }
          torn += lease->valid() ? 0 : 1;
        }
      }
    });
  }
  const auto until = std::chrono::steady_clock::now() + 1500ms;
  uint64_t published = 0;
  while (std::chrono::steady_clock::now() < until) {
    const auto slot = pool->acquire_displacing();
    if (!slot) {
      std::this_thread::yield();
      continue;
    }
    newest[*slot] = write_frame(*pool, *slot, static_cast<uint8_t>(++published));
  }
  stop = true;
  route.join();
  members.clear();
  std::printf("# %llu frames, %llu leases\n", static_cast<unsigned long long>(published),
              static_cast<unsigned long long>(leased.load()));
  CHECK(torn == 0 && leased > 100 && published > 100);
  pool->end_deliveries();
  CHECK(soon([&] { return producer.server->consumers().empty(); }));
  for (int i = 0; i < 8; ++i) CHECK(pool->acquire());
  const PoolState state = pool->state();
  CHECK(state.frames_published == published);
  CHECK(state.groups.at(0).delivered + state.groups.at(0).missed == published);
}

int main() { return framebus::test::run_all(); }
