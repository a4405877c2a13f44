// Consumers whose leases the producer ends while they live: what they see, and
// what everybody else does.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>

#include "bus_rig.h"
#include "check.h"
#include "raw_peer.h"

using namespace framebus;
using namespace framebus::test;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

BusServerEvent next_of(Producer& producer, Type type) {
  BusServerEvent event = producer.events.next();
  while (event.type != type) event = producer.events.next();
  return event;
}

uint64_t revoked_of(const Producer& producer, const std::string& group) {
  for (const PoolState& pool : producer.server->pools()) {
    for (const ConsumerState& consumer : pool.consumers) {
      if (consumer.group == group) return consumer.revoked;
    }
  }
  return 0;
}

}  // namespace

TEST("a lease past its deadline fences its consumer, and nobody else on the same frame") {
  constexpr uint32_t kDeadlineMs = 400;
  const Directory directory;
  Producer producer(directory, {}, kDeadlineMs);
  const auto pool = producer.pool();
  Worker slow(directory, "infer");
  Worker sink(directory, "sink");
  slow.consumer->attach("ingest-0", pool->epoch());
  sink.consumer->attach("ingest-0", pool->epoch());
  const uint32_t slot = *pool->acquire();
  const uint64_t g = write_frame(*pool, slot, 42);
  const auto began = steady_clock::now();
  const auto stuck = slow.lease(*pool, slot, g);
  CHECK(pool->end_delivery(slot, g, "infer") == DeliveryEnd::kTaken);
  std::this_thread::sleep_for(milliseconds(kDeadlineMs / 2));
  auto good = sink.lease(*pool, slot, g);
  const BusServerEvent event = next_of(producer, Type::kDetached);
  const auto took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - began);
  std::printf("# fenced after %lld ms, deadline %u ms\n", static_cast<long long>(took.count()),
              kDeadlineMs);
  CHECK(took >= milliseconds(kDeadlineMs) && took < milliseconds(kDeadlineMs * 3 / 2));
  CHECK(event.revoked && event.group == "infer");
  CHECK(event.reason.find("it has held slot 0, generation 1, of stream 'gate' for 0.4 s") == 0);
  CHECK(event.held.size() == 1 && event.held[0].slot == slot && event.held[0].generation == g);

  CHECK(good->valid() && good->read().view().data[0][7] == 42);
  CHECK(pool->delivery(slot, g, "sink") == Delivery::kHeld);
  CHECK(pool->delivery(slot, g, "infer") == Delivery::kNone);
  CHECK(pool->end_delivery(slot, g, "infer") == DeliveryEnd::kClosed);
  CHECK(!stuck->valid());
  CHECK(stuck->read().view().data[0][7] == 42);  // Mapped, though it means nothing.

  const DetachedEvent told = slow.events.next();
  CHECK(told.revoked && told.producer == "ingest-0" && told.reason == event.reason);
  CHECK(slow.unattached(pool->epoch()));
  good.reset();
  CHECK(sink.events.count() == 0);

  // It goes on, with a lane of its own; the old lease is void for ever.
  slow.consumer->attach("ingest-0", pool->epoch());
  CHECK(revoked_of(producer, "infer") == 1 && revoked_of(producer, "sink") == 0);
  const uint32_t other = *pool->acquire();
  const uint64_t later = write_frame(*pool, other, 43);
  const auto fresh = slow.lease(*pool, other, later);
  CHECK(fresh != nullptr && fresh->valid() && !stuck->valid());
  CHECK(pool->delivery(other, later, "infer") == Delivery::kHeld);
}

TEST("who lets go in time is left alone") {
  const Directory directory;
  Producer producer(directory, {}, 200);
  const auto pool = producer.pool();
  Worker worker(directory);
  worker.consumer->attach("ingest-0", pool->epoch());
  CHECK(next_of(producer, Type::kAttached).group == "infer");
  for (int i = 0; i < 10; ++i) {
    const uint32_t slot = *pool->acquire_displacing();
    const uint64_t g = write_frame(*pool, slot, 1);
    const auto lease = worker.lease(*pool, slot, g);
    CHECK(lease != nullptr);
    std::this_thread::sleep_for(80ms);
    CHECK(lease->valid());
  }
  CHECK(producer.events.count() == 0 && worker.events.count() == 0);
}

TEST("a consumer that was stopped never takes overwritten pixels for good ones") {
  const Directory directory;
  Producer producer(directory, {}, 150);
  const auto pool = producer.pool(2);
  const uint32_t slot = *pool->acquire();
  const uint64_t g = write_frame(*pool, slot, 100);
  CHECK(pool->acquire());  // The other one, for good.
  int ready[2];
  CHECK(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    Worker worker(directory);
    worker.consumer->attach("ingest-0", pool->epoch());
    const auto lease = worker.lease(*pool, slot, g);
    const char ok = lease != nullptr ? 'y' : 'n';
    if (::write(ready[1], &ok, 1) != 1) ::_exit(2);
    // Reads without an end, and is stopped anywhere in it.
    while (true) {
      const uint8_t* const data = lease->data();
      bool torn = false;
      for (size_t at = 0; at < lease->layout().slot_bytes; ++at) torn |= data[at] != 100;
      const bool valid = lease->valid();
      if (valid && torn) ::_exit(3);
      if (!valid) break;
    }
    const DetachedEvent told = worker.events.next();
    const bool refused = worker.unattached(pool->epoch());
    ::_exit(told.revoked && refused ? 0 : 4);
  }
  char ok = 'n';
  CHECK(::read(ready[0], &ok, 1) == 1 && ok == 'y');
  ::kill(child, SIGSTOP);
  const BusServerEvent event = next_of(producer, Type::kDetached);
  CHECK(event.revoked && event.held.size() == 1 && event.held[0].slot == slot);
  // The slot is had again at once, although the process is still there.
  CHECK(pool->acquire_displacing() == slot);
  std::memset(pool->slot_data(slot), 7, pool->options().layout.slot_bytes);
  ::kill(child, SIGCONT);
  std::this_thread::sleep_for(20ms);
  pool->publish(slot);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(
    "a consumer that died between writing and confirming a lease, alive: decided at the deadline") {
  const Directory directory;
  Producer producer(directory, {}, 100);
  const auto pool = producer.pool();
  RawConsumer raw(directory, *pool);
  const uint32_t slot = *pool->acquire();
  const uint64_t g = write_frame(*pool, slot, 1);
  raw.write(slot, g, LanePhase::kTentative);
  CHECK(pool->end_delivery(slot, g, "infer") == DeliveryEnd::kUndecided);
  const BusServerEvent event = next_of(producer, Type::kDetached);
  CHECK(event.revoked && event.held.empty());
  CHECK(pool->end_delivery(slot, g, "infer") == DeliveryEnd::kClosed);
  CHECK(raw.fence() == LaneFence::kRevoked);
  const Received last = answer_of(raw.fd);
  const auto fenced = read_message<FencedMessage>(last.data.data(), last.bytes);
  CHECK(fenced && *field_text(fenced->reason) == event.reason);
  CHECK(answer_of(raw.fd).status == Received::Status::kGone);
}

TEST("who holds more than it was granted is fenced, without any deadline") {
  const Directory directory;
  Producer producer(directory);
  const auto pool = producer.pool(6);
  RawConsumer raw(directory, *pool);
  CHECK(raw.offer.hold == 3);
  std::vector<uint64_t> g(4);
  for (int i = 0; i < 4; ++i) CHECK(pool->acquire());
  for (uint32_t slot = 0; slot < 4; ++slot) g[slot] = write_frame(*pool, slot, 1);
  for (uint32_t slot = 0; slot < 3; ++slot) raw.write(slot, g[slot], LanePhase::kHeld);
  std::this_thread::sleep_for(700ms);  // Three ticks: that is within its rights.
  CHECK(next_of(producer, Type::kAttached).consumer == "raw" && producer.events.count() == 0);
  raw.write(3, g[3], LanePhase::kHeld);
  const BusServerEvent event = next_of(producer, Type::kDetached);
  CHECK(event.revoked && event.held.size() == 4);
  CHECK(event.reason == "it holds 4 frames of stream 'gate' and may hold 3");
}

TEST("a connection that breaks takes its leases along, also when the consumer lives") {
  const Directory directory;
  Producer producer(directory);
  const auto pool = producer.pool();
  RawConsumer raw(directory, *pool);
  const uint32_t slot = *pool->acquire();
  const uint64_t g = write_frame(*pool, slot, 1);
  raw.write(slot, g, LanePhase::kHeld);
  CHECK(send_message(raw.fd.get(), hello()) == SendResult::kSent);  // Nonsense.
  const BusServerEvent event = next_of(producer, Type::kDetached);
  CHECK(!event.revoked && event.held.size() == 1);
  CHECK(raw.fence() == LaneFence::kEnded);
}

TEST("a fence is noticed at the end of the connection, should the message be lost") {
  const Directory directory;
  const auto pool = [] {
    FramePoolOptions options;
    options.stream_id = "gate";
    options.format.width = 64;
    options.format.height = 48;
    options.layout = tight_layout(options.format);
    options.slots = 2;
    return FramePool::create(options);
  }();
  // A producer that does as ours, and loses its last word.
  const BusListener listener(directory.path(), "ingest-0", false);
  std::jthread producing([&] {
    UniqueFd peer;
    CHECK(soon([&] {
      peer.reset(::accept(listener.fd(), nullptr, nullptr));
      return static_cast<bool>(peer);
    }));
    CHECK(answer_of(peer).status == Received::Status::kMessage);
    send_message(peer.get(), WelcomeMessage{});
    const Received asked = answer_of(peer);
    const auto attach = read_message<AttachMessage>(asked.data.data(), asked.bytes);
    const auto lane = pool->open_lane({.consumer = "worker", .group = "infer"});
    auto offer = epoch_message<PoolMessage>(pool->epoch(), attach->ticket);
    offer.slots = 2;
    offer.hold = lane->hold();
    offer.slot_stride = pool->slot_stride();
    offer.format = pool->options().format;
    offer.layout = pool->options().layout;
    CHECK(send_message(peer.get(), offer, {pool->fd(), lane->fd()}) == SendResult::kSent);
    std::this_thread::sleep_for(50ms);
    lane->fence(LaneFence::kRevoked);
  });
  Worker worker(directory);
  worker.consumer->attach("ingest-0", pool->epoch());
  const DetachedEvent told = worker.events.next();
  CHECK(told.revoked && !told.reason.empty());
}

TEST("revocations by the hundred leave nothing behind") {
  const Directory directory;
  Producer producer(directory, {}, 1);
  const auto pool = producer.pool();
  const uint32_t slot = *pool->acquire();
  const uint64_t g = write_frame(*pool, slot, 5);
  size_t fds = 0;
  size_t maps = 0;
  for (int round = 0; round < 25; ++round) {
    Worker worker(directory, "sink");
    worker.consumer->attach("ingest-0", pool->epoch());
    const auto lease = worker.lease(*pool, slot, g);
    CHECK(lease != nullptr);
    CHECK(worker.events.next().revoked);
    CHECK(next_of(producer, Type::kDetached).revoked);
    if (round == 0) {
      fds = open_fds();
      maps = bus_maps();
    }
    CHECK(open_fds() <= fds && bus_maps() <= maps);
  }
  CHECK(soon([&] { return bus_maps() == 1; }));
}

int main() { return framebus::test::run_all(); }
