// When a consumer is fenced for how it uses its leases, look by look.
#include "core/lease_watch.h"

#include <string>
#include <vector>

#include "check.h"
#include "core/bus_layout.h"
#include "core/memfd.h"

using namespace framebus;

namespace {

constexpr int64_t kSecond = 1'000'000'000;

// A pool with six published frames, and one consumer that may hold three.
struct Rig {
  Rig() {
    FramePoolOptions options;
    options.stream_id = "gate";
    options.format.width = 64;
    options.format.height = 48;
    options.layout = tight_layout(options.format);
    options.slots = 6;
    options.capacity = 6;
    options.groups = {{"infer", 3}};
    pool = FramePool::create(options);
    for (int i = 0; i < 6; ++i) CHECK(pool->acquire());
    for (uint32_t slot = 0; slot < 6; ++slot) CHECK(pool->publish(slot) == 1);
    lane = pool->open_lane({.consumer = "worker", .group = "infer"});
    words = map_memfd(lane->fd(), lane_bytes(6), Writers::kAnyHolder);
  }
  void write(std::vector<uint32_t> held, LanePhase phase = LanePhase::kHeld) {
    for (uint32_t slot = 0; slot < 6; ++slot) lane_word(words.data(), slot) = 0;
    for (const uint32_t slot : held) {
      lane_word(words.data(), slot) = LaneWord{1, phase}.pack();
    }
  }
  std::string look(int64_t now_ns, int64_t deadline_ns = 0) {
    return watch.look(*pool, *lane, now_ns, deadline_ns).value_or("");
  }

  std::shared_ptr<FramePool> pool;
  std::shared_ptr<Lane> lane;
  Mapping words;
  LeaseWatch watch;
};

}  // namespace

TEST("what was there at two looks was there at once; one look alone proves nothing") {
  Rig rig;
  rig.write({0, 1, 2});
  CHECK(rig.look(1).empty() && rig.look(2).empty());
  // As if frame 2 were let go, and 3 leased, while somebody looks.
  rig.write({0, 1, 2, 3});
  CHECK(rig.look(3).empty());
  rig.write({0, 1, 3});
  CHECK(rig.look(4).empty());
  rig.write({0, 1, 3, 4});
  CHECK(rig.look(5).empty());
  CHECK(rig.look(6) == "it holds 4 frames of stream 'gate' and may hold 3");
}

TEST("a lease ages from the look that saw it first, confirmed or not") {
  for (const LanePhase phase : {LanePhase::kHeld, LanePhase::kTentative}) {
    Rig rig;
    rig.write({5}, phase);
    CHECK(rig.look(10 * kSecond, 2 * kSecond).empty());
    CHECK(rig.look(12 * kSecond, 2 * kSecond).empty());
    CHECK(rig.look(12 * kSecond + 1, 2 * kSecond) ==
          "it has held slot 5, generation 1, of stream 'gate' for 2.0 s; leases end after 2.0 s");
    CHECK(rig.look(100 * kSecond, 0).empty());  // Without a deadline there is none.
  }
}

TEST("who lets go between two looks starts anew; frames that are gone do not count") {
  Rig rig;
  rig.write({0});
  CHECK(rig.look(0, kSecond).empty());
  rig.write({});
  CHECK(rig.look(kSecond, kSecond).empty());
  rig.write({0});
  CHECK(rig.look(2 * kSecond, kSecond).empty() && rig.look(3 * kSecond, kSecond).empty());
  CHECK(!rig.look(3 * kSecond + 1, kSecond).empty());

  // A new frame in the same slot is another lease.
  rig.write({});
  CHECK(rig.pool->acquire_displacing() == 0U && rig.pool->publish(0) == 2);
  lane_word(rig.words.data(), 0) = LaneWord{2, LanePhase::kHeld}.pack();
  CHECK(rig.look(9 * kSecond, kSecond).empty());
  lane_word(rig.words.data(), 0) = LaneWord{77, LanePhase::kHeld}.pack();  // Nonsense.
  CHECK(rig.look(20 * kSecond, kSecond).empty() && rig.look(30 * kSecond, kSecond).empty());
}

int main() { return framebus::test::run_all(); }
