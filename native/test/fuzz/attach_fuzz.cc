// A hostile consumer against BusServer: any messages, any descriptors, any
// lanes, while the producer goes on. Afterwards nothing is left of it.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "../raw_peer.h"
#include "core/bus_message.h"
#include "core/bus_socket.h"
#include "fuzz_input.h"

using namespace framebus;
using namespace framebus::test;

namespace {

// One producer for all inputs: starting it takes longer than an input.
struct Stage {
  Stage()
      : server(BusServer::create({directory.path(), "ingest-0", {}, {}, "", 20},
                                 [](const BusServerEvent&) {})) {
    offer();
  }
  ~Stage() { server->close(); }
  void offer() {
    FramePoolOptions options;
    options.stream_id = "fuzz";
    options.format.width = 64;
    options.format.height = 16;
    options.layout = tight_layout(options.format);
    options.slots = 6;
    options.groups = {{"infer", 2}, {"sink", 2}};
    pool = FramePool::create(options);
    server->add_pool(pool);
  }
  const Directory directory;
  const std::shared_ptr<BusServer> server;
  std::shared_ptr<FramePool> pool;
};

Stage& stage() {
  static Stage only;
  return only;
}

class HostileConsumer {
 public:
  explicit HostileConsumer(FuzzInput& input) : input_(input), fd_(connect_to(stage().directory)) {}

  void act(uint8_t what) {
    if (what == 0) return say_anything();
    if (what < 3) return say_hello();
    if (what < 6) return say_attach();
    if (what == 6)
      return send(bytes_of(epoch_message<DropMessage>(stage().pool->epoch(), ticket())));
    if (what == 7) return spoil();
    hear();
  }

 private:
  uint64_t ticket() { return input_.value(); }
  void say_anything() {
    Bytes bytes(input_.byte() % 64);
    for (char& each : bytes) each = static_cast<char>(input_.byte());
    send(std::move(bytes));
  }
  void say_hello() {
    HelloMessage message = hello();
    message.max_held = static_cast<uint32_t>(input_.value());
    if (input_.one_in(3)) set_field(message.group, input_.one_in(2) ? "sink" : "guest");
    send(bytes_of(message));
  }
  void say_attach() {
    auto message = epoch_message<AttachMessage>(stage().pool->epoch(), ticket());
    message.hold = static_cast<uint32_t>(input_.value());
    message.min_hold = static_cast<uint32_t>(input_.value());
    send(bytes_of(message));
  }
  void send(Bytes bytes) {
    if (input_.one_in(3)) input_.mutate(bytes);
    std::vector<int> fds;
    if (input_.one_in(8)) fds.assign(1 + input_.byte() % 4, fd_.get());
    send_bytes(fd_.get(), bytes.data(), bytes.size(), fds);
  }
  void hear() {
    pollfd readable{fd_.get(), POLLIN, 0};
    ::poll(&readable, 1, 2);
    Received received = receive(fd_.get(), true);
    const auto pool = read_message<PoolMessage>(received.data.data(), received.bytes);
    if (!pool || received.fds.size() != 2) return;
    CHECK(is_sane(*pool));
    // The pool must not be writable for it, not even by a new mapping.
    CHECK(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, received.fds[0].get(), 0) ==
          MAP_FAILED);
    lane_ = std::move(received.fds[1]);
    slots_ = pool->slots;
  }
  void spoil() {
    if (!lane_) return;
    const size_t bytes = lane_bytes(slots_);
    void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, lane_.get(), 0);
    CHECK(memory != MAP_FAILED);
    auto* const words = static_cast<std::atomic<uint64_t>*>(memory);
    const LaneWord word{input_.value(), static_cast<LanePhase>(input_.byte() % 5),
                        input_.one_in(2)};
    const uint64_t at = input_.byte() % (bytes / sizeof(uint64_t));
    words[at] = input_.one_in(4) ? input_.number() : word.pack();
    lane_word(static_cast<uint8_t*>(memory), input_.byte() % slots_) = word.pack();
    ::munmap(memory, bytes);
  }

  FuzzInput& input_;
  const UniqueFd fd_;
  UniqueFd lane_;
  uint32_t slots_ = 0;
};

// What a producer does meanwhile; nothing of it may throw, wait or lie.
void produce(FuzzInput& input) {
  FramePool& pool = *stage().pool;
  try {
    switch (input.byte() % 5) {
      case 0:
        pool.open_group({"tap", 1});
        return;
      case 1:
        pool.close_group("tap");
        return;
      case 2:
        pool.retire();
        pool.end_deliveries();
        return stage().offer();
      default:
        break;
    }
  } catch (const Error& error) {
    CHECK(std::string(error.code()) == "BUS_ADMISSION");
    return;
  }
  const auto slot = pool.acquire_displacing();
  if (!slot) return;
  const uint64_t generation = write_frame(pool, *slot, input.byte());
  if (input.one_in(2)) pool.end_delivery(*slot, generation, "sink");
  pool.delivery(*slot, generation, "infer");
  for (const PoolState& state : stage().server->pools()) CHECK(!state.stream_id.empty());
}

void run(FuzzInput& input) {
  stage().pool->close_group("tap");
  CHECK(soon([] { return stage().server->pools().size() == 1; }));
  const size_t fds = open_fds();
  const size_t maps = bus_maps();
  {
    std::array<std::optional<HostileConsumer>, 2> hostile;
    while (!input.empty()) {
      const uint8_t what = input.byte() % 12;
      auto& one = hostile[input.byte() % 2];
      if (what >= 10) {
        produce(input);
      } else {
        if (!one) one.emplace(input);
        one->act(what);
      }
    }
  }
  const std::shared_ptr<FramePool> pool = stage().pool;
  CHECK(soon([&] {
    return stage().server->consumers().empty() && stage().server->pools().size() == 1 &&
           open_fds() <= fds && bus_maps() == maps;
  }));
  pool->end_deliveries();
  std::vector<uint32_t> slots;
  for (int i = 0; i < 6; ++i) {
    const auto slot = pool->acquire();
    CHECK(slot);
    slots.push_back(*slot);
  }
  for (const uint32_t slot : slots) pool->discard(slot);
}

}  // namespace

int LLVMFuzzerInitialize(int* count, char*** values) {
  make_seeds_if_asked(*count, *values, 64, 200);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  FuzzInput input(data, bytes);
  run(input);
  return 0;
}
