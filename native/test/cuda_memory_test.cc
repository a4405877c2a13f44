// Pools in GPU memory: producer, consumers, what either may do to the other.
#include <fcntl.h>
#include <sys/mman.h>

#include "core/cuda_mapping.h"
#include "core/cuda_pool_mapping.h"
#include "core/cuda_release.h"
#include "core/pool_memory.h"
#include "cuda_rig.h"
#include "error_code.h"

using namespace framebus;
using namespace framebus::test;
using namespace std::chrono_literals;

namespace {

Gpu gpu = Gpu::kNone;

PoolMemoryOptions memory_options(MemoryKind kind = MemoryKind::kCuda) {
  return {.kind = kind, .stream_id = "gate", .slots = 4, .slot_stride = 90112};
}

// The message and the descriptor that a consumer would get.
struct Offer {
  explicit Offer(const PoolMemoryOptions& options) : memory(create_pool_memory(options)) {
    message.slots = options.slots;
    message.slot_stride = options.slot_stride;
    memory->describe(message);
  }
  int fd() const { return memory->fds().at(0); }
  std::unique_ptr<PoolMapping> map() const { return cuda_pool_mapping(message, fd()); }
  std::string refusal(int instead = -1) const {
    return code_of([&] { cuda_pool_mapping(message, instead < 0 ? fd() : instead); });
  }
  std::unique_ptr<PoolMemory> memory;
  PoolMessage message;
};

// ---- what the other processes do

int say_refusal(MemoryKind kind) {
  std::string message;
  const std::string code = code_of([&] { create_pool_memory(memory_options(kind)); }, &message);
  say(code + " " + message);
  return 0;
}

// Leases one frame and looks at it; then does as `what` says.
int consume(const std::string& folder, const std::string& epoch, const std::string& what) {
  const auto consumer = BusConsumer::create(
      {.directory = folder, .name = "other", .group = "infer", .max_held = 8}, [](const auto&) {});
  std::string message;
  const std::string refused = code_of([&] { consumer->attach("ingest-0", epoch); }, &message);
  if (!refused.empty()) {
    say(refused + " " + message);
    return 4;
  }
  say("attached");
  go_on();
  auto leased = consumer->lease(epoch, 0, 1);
  const std::shared_ptr<SlotLease> lease = std::get<std::shared_ptr<SlotLease>>(leased);
  const Picture wanted(lease->format(), 11);
  if (!same(lease->read().view(), wanted.view())) return 5;
  if (what == "write") {
    const auto device = cuda::CudaDevice::first();
    const cuda::CurrentContext current(device->context());
    const std::vector<uint8_t> zeros(4096);
    const auto to = reinterpret_cast<cuda::Address>(lease->device().data[0]);
    cuda::Result result = cuda::driver().copy_to_device(to, zeros.data(), zeros.size(), nullptr);
    if (result == cuda::kSuccess) result = cuda::driver().stream_synchronize(nullptr);
    say(result == cuda::kSuccess ? "written" : "refused: " + cuda::text_of(result));
    std::_Exit(0);  // A real driver may have given the context up.
  }
  say("read");
  go_on();
  const bool still = same(lease->read().view(), wanted.view());
  say(still ? "still there" : "gone");
  return still ? 0 : 6;
}

// A producer that publishes one frame and waits to be killed.
int produce(const std::string& folder) {
  const auto server = BusServer::create(
      {.directory = folder, .producer = "ingest-0", .allow_uids = {}, .allow_gids = {}},
      [](const auto&) {});
  const std::shared_ptr<FramePool> pool = FramePool::create(gpu_pool_options());
  server->add_pool(pool);
  publish(*pool, pool->acquire().value(), 11);
  say(pool->epoch());
  go_on();
  return 0;
}

int other_process(const std::vector<std::string>& arguments) {
  if (arguments[0] == "refusal") return say_refusal(memory_kind_of(arguments[1]).value());
  if (arguments[0] == "consume") return consume(arguments[1], arguments[2], arguments[3]);
  if (arguments[0] == "produce") return produce(arguments[1]);
  return 2;
}

// A producer in this process with one pool.
struct Home {
  explicit Home(MemoryKind kind = MemoryKind::kCuda)
      : server(BusServer::create({.directory = directory.path(),
                                  .producer = "ingest-0",
                                  .allow_uids = {},
                                  .allow_gids = {}},
                                 [](const auto&) {})),
        pool(FramePool::create(gpu_pool_options(kind))) {
    server->add_pool(pool);
  }
  ~Home() { server->close(); }
  Again other(const std::string& what) const {
    return Again({"consume", directory.path(), pool->epoch(), what});
  }
  Directory directory;
  std::shared_ptr<BusServer> server;
  std::shared_ptr<FramePool> pool;
};

}  // namespace

TEST("without a driver a pool says what is missing and what to do") {
  if (gpu == Gpu::kReal) return;
  Again other({"refusal", "cuda"}, {"FRAMEBUS_TEST_CUDA=none"});
  const std::string said = other.line();
  CHECK(other.wait() == 0);
  CHECK(said.starts_with("MEMORY_UNSUPPORTED CUDA memory: libcuda.so.1"));
  CHECK(said.find("use memory shm") != std::string::npos);
}

TEST("a driver without a GPU is told apart") {
  if (gpu != Gpu::kFake) return;
  Again other({"refusal", "cuda-ipc"}, {"FRAMEBUS_FAKE_CUDA=no-device"});
  CHECK(other.line().find("the driver finds no NVIDIA GPU") != std::string::npos);
}

TEST("a GPU that cannot export descriptors is refused for cuda, not for cuda-ipc") {
  if (gpu != Gpu::kFake) return;
  Again plain({"refusal", "cuda"}, {"FRAMEBUS_FAKE_CUDA=no-fd"});
  CHECK(plain.line().starts_with("MEMORY_UNSUPPORTED"));
  Again ipc({"refusal", "cuda-ipc"}, {"FRAMEBUS_FAKE_CUDA=no-fd"});
  CHECK(ipc.line() == " ");
}

TEST("a frame comes out of GPU memory as it went in, and everything is given back") {
  const Live before = live();
  const size_t fds = open_fds();
  {
    Home home;
    CHECK(home.pool->slot_data(0) == nullptr);
    Worker worker(home.directory);
    worker.consumer->attach("ingest-0", home.pool->epoch());
    for (uint8_t seed = 1; seed < 20; ++seed) {
      const uint32_t slot = home.pool->acquire().value();
      const uint64_t generation = publish(*home.pool, slot, seed);
      const auto lease = worker.lease(*home.pool, slot, generation);
      CHECK(lease != nullptr && lease->memory() == MemoryKind::kCuda);
      CHECK(lease->data() == nullptr && lease->device().data[1] != nullptr);
      CHECK(same(lease->read().view(), Picture(lease->format(), seed).view()));
    }
  }
  CHECK(live() == before);
  CHECK(soon([&] { return open_fds() == fds; }) || gpu == Gpu::kReal);
}

TEST("what does not fit a GPU is NO_SPACE with a remedy, and leaves nothing") {
  const Live before = live();
  for (const MemoryKind kind : {MemoryKind::kCuda, MemoryKind::kCudaIpc}) {
    PoolMemoryOptions options = memory_options(kind);
    options.slots = 1024;
    options.slot_stride = size_t{1} << 30;
    std::string message;
    CHECK(code_of([&] { create_pool_memory(options); }, &message) == "NO_SPACE");
    CHECK(message.find("stream 'gate'") != std::string::npos);
    CHECK(message.find("fewer slots") != std::string::npos);
  }
  CHECK(live() == before);
}

TEST("what a message says is not trusted beyond the memory that came with it") {
  Offer offer(memory_options());
  CHECK(offer.map() != nullptr);
  const Live before = live();
  const uint64_t bytes = offer.message.pixel_bytes;
  offer.message.pixel_bytes = bytes * 2;
  CHECK(offer.refusal() == "BUS_MEMORY");
  offer.message.pixel_bytes = bytes + 1;
  CHECK(offer.refusal() == "BUS_MEMORY");
  offer.message.pixel_bytes = uint64_t{1} << 62;
  CHECK(offer.refusal() == "BUS_MEMORY");
  offer.message.pixel_bytes = 4096;  // Less than the slots need.
  CHECK(offer.refusal() == "BUS_MEMORY");
  offer.message.pixel_bytes = bytes;
  offer.message.slot_stride = bytes;  // Times four.
  CHECK(offer.refusal() == "BUS_MEMORY");
  offer.message.slot_stride = memory_options().slot_stride;
  offer.message.gpu.fill(0x55);
  CHECK(offer.refusal() == "MEMORY_UNSUPPORTED");
  CHECK(live() == before);
}

TEST("a descriptor of something else is refused") {
  Offer offer(memory_options());
  const Live before = live();
  const UniqueFd memfd(::memfd_create("not-cuda", MFD_CLOEXEC));
  CHECK(::ftruncate(memfd.get(), 1 << 22) == 0);
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  CHECK(offer.refusal(memfd.get()) == "BUS_MEMORY");
  CHECK(offer.refusal(null.get()) == "BUS_MEMORY");
  CHECK(live() == before);
}

TEST("a download stays inside its slot") {
  const Offer offer(memory_options());
  const auto mapping = offer.map();
  std::vector<uint8_t> bytes(200000);
  CHECK(code_of([&] { mapping->download(4, 16, bytes.data()); }) == "BUS_MEMORY");
  CHECK(code_of([&] { mapping->download(3, 90113, bytes.data()); }) == "BUS_MEMORY");
  mapping->download(3, 90112, bytes.data());
}

TEST("copies are as many as anybody keeps, and their memory goes with the last") {
  const Live before = live();
  std::vector<std::shared_ptr<const uint8_t>> kept;
  {
    const Offer offer(memory_options());
    const auto mapping = offer.map();
    for (int i = 0; i < 40; ++i) kept.push_back(mapping->copy(0, 90112));
    // Two maps of the pool, and no more locked pages than that.
    CHECK(live().ranges <= before.ranges + 2 + 16);
    const uint8_t* const last = kept[3].get();
    kept[3].reset();
    CHECK(mapping->copy(1, 90112).get() == last);  // Used again.
  }
  CHECK(std::set(kept.begin(), kept.end()).size() == 40);
  kept.clear();
  CHECK(live() == before);
}

TEST("another process reads the same pixels and cannot write them") {
  Home home;
  Again writer = home.other("write");
  CHECK(writer.line() == "attached");
  const uint64_t generation = publish(*home.pool, home.pool->acquire().value(), 11);
  CHECK(generation == 1);
  writer.go();
  const std::string said = writer.line();
  std::printf("# a consumer's write: %s\n", said.c_str());
  CHECK(said.starts_with("refused"));
  Worker worker(home.directory);
  worker.consumer->attach("ingest-0", home.pool->epoch());
  const auto lease = worker.lease(*home.pool, 0, 1);
  CHECK(same(lease->read().view(), Picture(lease->format(), 11).view()));
}

TEST("a consumer that is killed gives its slot back") {
  Home home;
  Again reader = home.other("read");
  CHECK(reader.line() == "attached");
  CHECK(publish(*home.pool, home.pool->acquire().value(), 11) == 1);
  reader.go();
  CHECK(reader.line() == "read");
  home.pool->end_delivery(0, 1, "infer");
  // All slots but the one that it leases.
  for (int i = 0; i < 3; ++i) publish(*home.pool, home.pool->acquire().value(), 1);
  home.pool->end_deliveries();
  std::vector<uint32_t> taken;
  while (const auto slot = home.pool->acquire()) taken.push_back(*slot);
  CHECK(taken.size() == 3);
  reader.kill();
  CHECK(reader.wait() == 128 + SIGKILL);
  CHECK(soon([&] { return home.pool->acquire().has_value(); }));
}

TEST("a frame leased from a producer that is killed stays readable, and goes with the lease") {
  Directory directory;
  Again producer({"produce", directory.path()});
  const std::string epoch = producer.line();
  CHECK(epoch.size() == 32);
  const Live before = live();
  {
    Worker worker(directory);
    worker.consumer->attach("ingest-0", epoch);
    auto leased = worker.consumer->lease(epoch, 0, 1);
    const auto lease = std::get<std::shared_ptr<SlotLease>>(leased);
    const Picture wanted(lease->format(), 11);
    CHECK(same(lease->read().view(), wanted.view()));
    producer.kill();
    CHECK(producer.wait() == 128 + SIGKILL);
    CHECK(worker.unattached(epoch) || soon([&] { return worker.unattached(epoch); }));
    CHECK(same(lease->read().view(), wanted.view()));
  }
  CHECK(live() == before);
}

TEST("cuda-ipc works in another process, and says why it does not in its own") {
  const Live before = live();
  {
    Home home(MemoryKind::kCudaIpc);
    Worker worker(home.directory);
    CHECK(worker.attach_error("ingest-0", home.pool->epoch()) == "BUS_MEMORY");
    CHECK(worker.last_message.find("let the producer use memory cuda") != std::string::npos);
    Again reader = home.other("read");
    CHECK(reader.line() == "attached");
    CHECK(publish(*home.pool, home.pool->acquire().value(), 11) == 1);
    reader.go();
    CHECK(reader.line() == "read");
    reader.go();
    CHECK(reader.line() == "still there");
    CHECK(reader.wait() == 0);
  }
  CHECK(live() == before);
}

TEST("cuda-ipc is refused across pid namespaces, whatever the driver says of it") {
  Offer offer(memory_options(MemoryKind::kCudaIpc));
  CHECK(offer.message.pid_namespace == cuda::pid_namespace());
  ++offer.message.pid_namespace;
  std::string message;
  CHECK(code_of([&] { cuda_ipc_pool_mapping(offer.message); }, &message) == "BUS_MEMORY");
  CHECK(message.find("another pid namespace") != std::string::npos);
}

TEST("a lease ends after the work that its stream had been given") {
  Home home;
  Worker worker(home.directory);
  worker.consumer->attach("ingest-0", home.pool->epoch());
  const uint64_t generation = publish(*home.pool, home.pool->acquire().value(), 11);
  std::shared_ptr<Lease> lease = worker.lease(*home.pool, 0, generation);
  const auto device = cuda::CudaDevice::first();
  const cuda::CurrentContext current(device->context());
  const cuda::OwnStream stream(device);
  std::atomic<bool> finish = false;
  const auto busy = [](void* data) {
    while (!*static_cast<std::atomic<bool>*>(data)) std::this_thread::sleep_for(1ms);
  };
  CHECK(cuda::driver().launch_host(stream.get(), busy, &finish) == cuda::kSuccess);
  release_after(stream.get(), std::exchange(lease, nullptr));
  std::this_thread::sleep_for(20ms);
  CHECK(worker.consumer->held() == 1);
  finish = true;
  CHECK(cuda::driver().stream_synchronize(stream.get()) == cuda::kSuccess);
  CHECK(soon([&] { return worker.consumer->held() == 0; }));
}

TEST("pools that come and go leave no memory on the GPU") {
  const auto keep = cuda::CudaDevice::first();
  const size_t used = gpu_used();
  const Live before = live();
  for (int i = 0; i < 50; ++i) {
    const Offer offer(memory_options());
    const auto mapping = offer.map();
    const auto again = offer.map();
    const auto ipc = create_pool_memory(memory_options(MemoryKind::kCudaIpc));
  }
  CHECK(live() == before);
  std::printf("# memory in use on the GPU: %zu bytes before, %zu after\n", used, gpu_used());
  // Of a real GPU others may have taken some meanwhile; fifty pools would be 200 MiB.
  CHECK(gpu_used() <= used + (size_t{32} << 20));
}

int main(int argc, char** argv) {
  gpu = load_gpu();
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty()) return other_process(arguments);
  return run_all();
}
