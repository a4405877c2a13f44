// Producer and consumer over a real socket: leases, ends, restarts.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "bus_rig.h"
#include "check.h"

using namespace framebus;
using namespace framebus::test;

TEST("a consumer attaches, leases and reads without a copy") {
  const Directory directory;
  const Producer producer(directory);
  const auto pool = producer.pool();
  Worker worker(directory);
  CHECK(worker.refusal(pool->epoch(), 0, 1) == LeaseRefusal::kUnattached);
  worker.consumer->attach("ingest-0", pool->epoch());
  worker.consumer->attach("ingest-0", pool->epoch());
  CHECK(producer.server->consumers() == (std::map<std::string, uint32_t>{{"infer", 1}}));
  const uint32_t slot = *pool->acquire();
  const uint64_t g = write_frame(*pool, slot, 42);
  CHECK(worker.refusal(pool->epoch(), slot, g + 1) == LeaseRefusal::kStale);
  CHECK(worker.refusal(pool->epoch(), 99, g) == LeaseRefusal::kStale);
  auto lease = worker.lease(*pool, slot, g);
  CHECK(lease != nullptr && lease->valid() && worker.consumer->held() == 1);
  const FrameRead read = lease->read();
  const FrameView& view = read.view();
  CHECK(view.format == pool->options().format);
  CHECK(view.data[0][0] == 42 && view.data[1][view.stride[1] * 90 + 321] == 42);
  CHECK(view.data[0] != pool->slot_data(slot));  // Another mapping of the same memory.
  CHECK(pool->delivery(slot, g, "infer") == Delivery::kHeld);
  auto second = worker.lease(*pool, slot, g);
  lease.reset();
  CHECK(second->valid() && pool->delivery(slot, g, "infer") == Delivery::kHeld);
  second.reset();
  CHECK(pool->delivery(slot, g, "infer") == Delivery::kReleased);
  CHECK(worker.consumer->held() == 0);
}

TEST("a consumer holds no more than its quota") {
  const Directory directory;
  const Producer producer(directory);
  const auto pool = producer.pool();
  Worker worker(directory, "sink", 2);
  worker.consumer->attach("ingest-0", pool->epoch());
  std::vector<uint64_t> g(3);
  for (int i = 0; i < 3; ++i) CHECK(pool->acquire());
  for (uint32_t slot = 0; slot < 3; ++slot) g[slot] = write_frame(*pool, slot, 1);
  auto a = worker.lease(*pool, 0, g[0]);
  const auto b = worker.lease(*pool, 1, g[1]);
  CHECK(a && b);
  CHECK(worker.refusal(pool->epoch(), 2, g[2]) == LeaseRefusal::kQuota);
  CHECK(pool->delivery(2, g[2], "sink") == Delivery::kNone);
  a.reset();
  CHECK(worker.lease(*pool, 2, g[2]) != nullptr);
}

TEST("the end of a connection returns the leases at once and says which") {
  const Directory directory;
  Producer producer(directory);
  const auto pool = producer.pool();
  const uint32_t slot = *pool->acquire();
  const uint64_t g = write_frame(*pool, slot, 1);
  int ready[2];
  CHECK(::pipe(ready) == 0);
  // A process that dies with a lease: only what its death does may return it.
  const pid_t child = ::fork();
  if (child == 0) {
    Worker worker(directory);
    worker.consumer->attach("ingest-0", pool->epoch());
    const auto lease = worker.lease(*pool, slot, g);
    const char ok = lease != nullptr ? 'y' : 'n';
    if (::write(ready[1], &ok, 1) == 1) ::pause();
    ::_exit(1);
  }
  char ok = 'n';
  CHECK(::read(ready[0], &ok, 1) == 1 && ok == 'y');
  CHECK(producer.events.next().type == Type::kAttached);
  CHECK(pool->end_delivery(slot, g, "infer") == DeliveryEnd::kTaken);
  CHECK(pool->end_delivery(slot, g, "sink") == DeliveryEnd::kClosed);
  CHECK(pool->counts().published == 1);
  const auto killed = std::chrono::steady_clock::now();
  ::kill(child, SIGKILL);
  const BusServerEvent event = producer.events.next();
  const auto took = std::chrono::steady_clock::now() - killed;
  ::waitpid(child, nullptr, 0);
  CHECK(event.type == Type::kDetached && event.consumer == "worker" && event.group == "infer");
  CHECK(event.held.size() == 1 && event.held[0].epoch == pool->epoch());
  CHECK(event.held[0].slot == slot && event.held[0].generation == g);
  CHECK(took < 1s);
  std::printf(
      "# kill -9 to event: %lld us\n",
      static_cast<long long>(std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
  CHECK(pool->acquire());  // One of the three others.
  CHECK(pool->acquire() && pool->acquire());
  CHECK(pool->acquire() == slot);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST("leases outlive close(), and keep their slot") {
  const Directory directory;
  Producer producer(directory);
  const auto pool = producer.pool(2);
  auto worker = std::make_unique<Worker>(directory);
  worker->consumer->attach("ingest-0", pool->epoch());
  const uint32_t slot = *pool->acquire();
  CHECK(pool->acquire());  // The other one, for good.
  const uint64_t g = write_frame(*pool, slot, 9);
  auto lease = worker->lease(*pool, slot, g);
  worker.reset();
  pool->end_delivery(slot, g, "sink");
  std::this_thread::sleep_for(50ms);
  CHECK(!pool->acquire());
  CHECK(lease->valid() && lease->read().view().data[0][5] == 9);
  CHECK(producer.events.next().type == Type::kAttached);
  CHECK(producer.events.count() == 0);
  lease.reset();
  const BusServerEvent event = producer.events.next();
  CHECK(event.type == Type::kDetached && event.held.empty());
  CHECK(pool->acquire() == slot);
}

TEST("a retired pool is unmapped by consumers once it has drained") {
  const Directory directory;
  const Producer producer(directory);
  auto pool = producer.pool();
  Worker worker(directory);
  worker.consumer->attach("ingest-0", pool->epoch());
  const uint32_t slot = *pool->acquire();
  const uint64_t g = write_frame(*pool, slot, 3);
  auto lease = worker.lease(*pool, slot, g);
  pool->retire();
  pool->end_delivery(slot, g, "sink");
  Worker late(directory, "sink");
  late.consumer->attach("ingest-0", pool->epoch());  // Not drained yet: still on offer.
  lease.reset();
  const std::string epoch = pool->epoch();
  CHECK(soon([&] { return worker.unattached(epoch); }));
  CHECK(worker.attach_error("ingest-0", epoch) == "BUS_EPOCH_GONE");
  const std::weak_ptr<FramePool> watch = pool;
  pool.reset();
  CHECK(soon([&] { return watch.expired(); }));
  CHECK(bus_maps() == 0);
  CHECK(producer.server->consumers().size() == 2);  // Nobody lost the connection.
}

TEST("a producer that goes is noticed, and found again when it is back") {
  const Directory directory;
  auto producer = std::make_unique<Producer>(directory);
  const auto pool = producer->pool();
  Worker worker(directory);
  worker.consumer->attach("ingest-0", pool->epoch());
  const uint32_t slot = *pool->acquire();
  const uint64_t g = write_frame(*pool, slot, 77);
  auto lease = worker.lease(*pool, slot, g);
  producer.reset();
  CHECK(worker.events.next().producer == "ingest-0");
  CHECK(worker.refusal(pool->epoch(), slot, g) == LeaseRefusal::kUnattached);
  CHECK(lease->read().view().data[0][0] == 77);
  CHECK(worker.attach_error("ingest-0", pool->epoch()) == "BUS_UNREACHABLE");
  CHECK(directory.files().empty());
  const Producer again(directory);
  const auto next = again.pool();
  worker.consumer->attach("ingest-0", next->epoch());
  CHECK(worker.attach_error("ingest-0", pool->epoch()) == "BUS_EPOCH_GONE");
  const uint32_t other = *next->acquire();
  CHECK(worker.lease(*next, other, write_frame(*next, other, 1)) != nullptr);
  lease.reset();
}

TEST("one living producer per name; a crashed one's leftovers are replaced") {
  const Directory directory;
  {
    const Producer producer(directory);
    std::string code;
    try {
      const Producer second(directory);
    } catch (const Error& error) {
      code = error.code();
    }
    CHECK(code == "BUS_IN_USE");
    const auto pool = producer.pool();
    Worker worker(directory);
    worker.consumer->attach("ingest-0", pool->epoch());  // It has not been disturbed.
  }
  CHECK(directory.files().empty());
  const pid_t child = ::fork();
  if (child == 0) {
    Producer crashing(directory);
    ::raise(SIGKILL);
  }
  ::waitpid(child, nullptr, 0);
  CHECK(directory.files().contains("ingest-0.sock"));
  const Producer producer(directory);
  const auto pool = producer.pool();
  Worker worker(directory);
  worker.consumer->attach("ingest-0", pool->epoch());
}

TEST("directories that cannot be used are named") {
  std::string code;
  const auto listen_in = [&](const std::string& path) {
    try {
      BusServer::create({path, "ingest-0", {}, {}}, [](BusServerEvent) {});
    } catch (const Error& error) {
      code = error.code();
      CHECK(std::string(error.what()).find(path.substr(0, 40)) != std::string::npos);
    }
  };
  listen_in("/nonexistent/framebus");
  CHECK(code == "BUS_DIRECTORY");
  code.clear();
  listen_in("/tmp/" + std::string(120, 'x'));
  CHECK(code == "BUS_DIRECTORY");
}

TEST("nothing is left over after 200 rounds of attach and detach") {
  const Directory directory;
  const Producer producer(directory);
  const auto pool = producer.pool();
  size_t fds = 0;
  size_t maps = 0;
  for (int round = 0; round < 200; ++round) {
    Worker worker(directory);
    worker.consumer->attach("ingest-0", pool->epoch());
    const uint32_t slot = *pool->acquire();
    const uint64_t g = write_frame(*pool, slot, 1);
    CHECK(worker.lease(*pool, slot, g) != nullptr);
    pool->end_delivery(slot, g, "sink");
    worker.consumer->close();
    CHECK(soon([&] { return producer.server->consumers().empty(); }));
    if (round == 10) fds = open_fds();
    if (round == 10) maps = bus_maps();
  }
  CHECK(soon([&] { return open_fds() <= fds; }));
  CHECK(bus_maps() == maps && maps == 1);
}

TEST("four consumers, many frames: none torn, none leaked") {
  const Directory directory;
  const Producer producer(directory);
  const auto pool = producer.pool(6);
  struct Message {
    uint32_t slot;
    uint64_t generation;
  };
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::unique_ptr<Events<Message>>> inboxes;
  std::vector<std::jthread> threads;
  std::atomic<uint64_t> torn{0};
  std::atomic<uint64_t> leased{0};
  for (int i = 0; i < 4; ++i) {
    workers.push_back(std::make_unique<Worker>(directory, i < 2 ? "infer" : "sink"));
    workers.back()->consumer->attach("ingest-0", pool->epoch());
    inboxes.push_back(std::make_unique<Events<Message>>());
    threads.emplace_back([&, worker = workers.back().get(), inbox = inboxes.back().get()] {
      while (true) {
        const Message message = inbox->next();
        if (message.generation == 0) return;
        const auto lease = worker->lease(*pool, message.slot, message.generation);
        if (lease == nullptr) continue;
        ++leased;
        const uint8_t* const data = lease->data();
        const auto value = static_cast<uint8_t>(message.generation * 31 + message.slot);
        const size_t bytes = lease->layout().slot_bytes;
        for (size_t at = 0; at < bytes; at += 61) torn += data[at] != value ? 1 : 0;
        torn += lease->valid() ? 0 : 1;
      }
    });
  }
  uint64_t published = 0;
  std::vector<uint64_t> generations(6, 0);
  const auto until = std::chrono::steady_clock::now() + 2s;
  while (std::chrono::steady_clock::now() < until) {
    const auto slot = pool->acquire_displacing();
    if (!slot) {
      std::this_thread::yield();
      continue;
    }
    const uint64_t next = generations[*slot] + 1;
    generations[*slot] = write_frame(*pool, *slot, static_cast<uint8_t>(next * 31 + *slot));
    ++published;
    for (const auto& inbox : inboxes) {
      if (inbox->count() < 8) inbox->add({*slot, generations[*slot]});
    }
  }
  for (const auto& inbox : inboxes) inbox->add({0, 0});
  threads.clear();
  for (const auto& worker : workers) CHECK(worker->consumer->held() == 0);
  workers.clear();
  std::printf("# %llu frames, %llu leases\n", static_cast<unsigned long long>(published),
              static_cast<unsigned long long>(leased.load()));
  CHECK(torn == 0 && leased > 100);
  pool->end_deliveries();
  for (int i = 0; i < 6; ++i) CHECK(pool->acquire());
}

int main() { return framebus::test::run_all(); }
