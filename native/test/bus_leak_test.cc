// Nothing grows: memory, descriptors and mappings of a producer and its
// consumers over many frames, and over many who come and go.
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string>

#include "bus_rig.h"
#include "check.h"

using namespace framebus;
using namespace framebus::test;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// Freed memory is kept for a while; there the leak check looks.
constexpr bool kMemoryTells = false;
#else
constexpr bool kMemoryTells = true;
#endif

// Pages that are touched for the first time, of stacks and of the allocator's arenas.
constexpr size_t kTouchedBytes = 3 << 20;

// In use, of all arenas.
size_t heap_bytes() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

// Resident memory that is not shared: pools and lanes are counted as mappings.
size_t own_bytes() {
  std::ifstream statm("/proc/self/statm");
  size_t total = 0;
  size_t resident = 0;
  size_t shared = 0;
  statm >> total >> resident >> shared;
  return (resident - shared) * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

// What there is after a warm-up, and what there may be more at the end.
class Level {
 public:
  Level() : fds_(open_fds()), maps_(bus_maps()), heap_(heap_bytes()), own_(own_bytes()) {}
  void check(const char* what, size_t growth_bytes) const {
    CHECK(soon([&] { return open_fds() == fds_ && bus_maps() == maps_; }));
    const size_t heap = heap_bytes();
    const size_t own = own_bytes();
    const auto more = [](size_t now, size_t before) {
      return static_cast<ssize_t>(now) - static_cast<ssize_t>(before);
    };
    std::printf("# %s: %zu descriptors, %zu mappings; %zd bytes of heap, %zd KiB resident more\n",
                what, fds_, maps_, more(heap, heap_), more(own, own_) / 1024);
    CHECK(!kMemoryTells || heap <= heap_ + growth_bytes);
    CHECK(!kMemoryTells || own <= own_ + kTouchedBytes);
  }

 private:
  const size_t fds_;
  const size_t maps_;
  const size_t heap_;
  const size_t own_;
};

struct Bus {
  Bus()
      : server(BusServer::create({directory.path(), "ingest-0", {}, {}},
                                 [](const BusServerEvent&) {})) {}
  ~Bus() { server->close(); }
  std::shared_ptr<FramePool> pool() const {
    FramePoolOptions options;
    options.stream_id = "leak";
    options.format.width = 64;
    options.format.height = 48;
    options.layout = tight_layout(options.format);
    options.slots = 8;
    options.groups = {{"infer", 2}, {"sink", 2}};
    auto made = FramePool::create(options);
    server->add_pool(made);
    return made;
  }
  const Directory directory;
  const std::shared_ptr<BusServer> server;
};

// Each group has the frame once; the second one hears of it too late now and then.
void pass_frame(FramePool& pool, std::array<Worker*, 2> workers, uint64_t turn) {
  const auto slot = pool.acquire_displacing();
  CHECK(slot);
  const uint64_t generation = write_frame(pool, *slot, static_cast<uint8_t>(turn));
  const auto first = workers[0]->lease(pool, *slot, generation);
  CHECK(first != nullptr && first->read().view().data[0][turn % 64] == (turn & 0xff));
  const bool late = turn % 16 == 0;
  if (late) CHECK(pool.end_delivery(*slot, generation, "sink") == DeliveryEnd::kClosed);
  const auto second = workers[1]->lease(pool, *slot, generation);
  CHECK((second == nullptr) == late);
}

}  // namespace

TEST("100,000 frames: nothing grows") {
  const Bus bus;
  const auto pool = bus.pool();
  Worker infer(bus.directory, "infer", 2);
  Worker sink(bus.directory, "sink", 2);
  for (Worker* worker : {&infer, &sink}) worker->consumer->attach("ingest-0", pool->epoch());
  for (uint64_t turn = 0; turn < 20'000; ++turn) pass_frame(*pool, {&infer, &sink}, turn);
  const Level level;
  for (uint64_t turn = 0; turn < 100'000; ++turn) pass_frame(*pool, {&infer, &sink}, turn);
  level.check("100,000 frames", 4 << 10);
}

TEST("1,000 attaches and detaches, 250 epochs: nothing grows") {
  const Bus bus;
  auto pool = bus.pool();
  Worker stays(bus.directory, "sink", 2);
  stays.consumer->attach("ingest-0", pool->epoch());
  const auto come_and_go = [&](uint64_t turn) {
    Worker guest(bus.directory, "infer", 2);
    guest.consumer->attach("ingest-0", pool->epoch());
    pass_frame(*pool, {&guest, &stays}, turn);
    if (turn % 4 != 3) return;
    pool->retire();
    pool->end_deliveries();
    pool = bus.pool();
    stays.consumer->attach("ingest-0", pool->epoch());
  };
  // One pool, one lane, as at the start: the producer looks for drained pools now and then.
  const auto at_rest = [&] { return bus.server->consumers().size() == 1 && bus_maps() == 4; };
  for (uint64_t turn = 0; turn < 200; ++turn) come_and_go(turn);
  CHECK(soon(at_rest));
  const Level level;
  for (uint64_t turn = 0; turn < 1'000; ++turn) come_and_go(turn);
  CHECK(soon(at_rest));
  level.check("1,000 attaches", 24 << 10);
}

TEST("1,000 producers come and go: nothing grows") {
  const auto come_and_go = [] {
    const Bus bus;
    const auto pool = bus.pool();
    Worker worker(bus.directory, "infer", 2);
    worker.consumer->attach("ingest-0", pool->epoch());
    const auto slot = pool->acquire();
    const uint64_t generation = write_frame(*pool, *slot, 1);
    CHECK(worker.lease(*pool, *slot, generation) != nullptr);
  };
  for (int turn = 0; turn < 200; ++turn) come_and_go();
  const Level level;
  for (int turn = 0; turn < 1'000; ++turn) come_and_go();
  level.check("1,000 producers", 24 << 10);
}

int main() { return framebus::test::run_all(); }
