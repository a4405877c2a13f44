// Pools in DMA-BUFs: over real devices where there are some (`npm run test:dmabuf`
// brings a machine that has them), and what is said where there are none.
#include "core/dmabuf.h"

#include <fcntl.h>
#include <linux/dma-buf.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "bus_rig.h"
#include "check.h"
#include "core/dmabuf_exporter.h"
#include "core/dmabuf_pool_mapping.h"
#include "core/dmabuf_pool_memory.h"

using namespace framebus;
using namespace framebus::test;

namespace {

struct SyncCounts {
  std::atomic<int> begins{0}, ends{0}, to_interrupt{0};
  std::atomic<uint64_t> last_begin{0}, last_end{0};
};
SyncCounts syncs;

}  // namespace

// In place of the C library's: counts what core asks of the kernel, and interrupts it.
extern "C" int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list arguments;
  va_start(arguments, request);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  if (request == DMA_BUF_IOCTL_SYNC) {
    if (syncs.to_interrupt > 0) {
      errno = syncs.to_interrupt-- % 2 == 0 ? EINTR : EAGAIN;
      return -1;
    }
    const uint64_t flags = static_cast<const dma_buf_sync*>(argument)->flags;
    const bool end = (flags & DMA_BUF_SYNC_END) != 0;
    ++(end ? syncs.ends : syncs.begins);
    (end ? syncs.last_end : syncs.last_begin) = flags & DMA_BUF_SYNC_RW;
  }
  return static_cast<int>(::syscall(SYS_ioctl, fd, request, argument));
}

namespace {

bool has_devices() {
  static const bool has = !find_dmabuf_exporters().found.empty();
  return has;
}

bool skipped() {
  if (!has_devices()) std::printf("# skipped: no /dev/udmabuf and no /dev/dma_heap\n");
  return !has_devices();
}

FramePoolOptions pool_options(uint32_t slots = 4) {
  FramePoolOptions options;
  options.stream_id = "gate";
  options.format.width = 322;
  options.format.height = 181;
  options.format.pixel_format = PixelFormat::kNv12;
  options.layout = tight_layout(options.format);
  options.memory = MemoryKind::kDmabuf;
  options.slots = slots;
  options.groups = {"infer", "sink"};
  return options;
}

std::shared_ptr<FramePool> offer(const Producer& producer, uint32_t slots = 4) {
  std::shared_ptr<FramePool> pool = FramePool::create(pool_options(slots));
  producer.server->add_pool(pool);
  return pool;
}

uint8_t expected(uint64_t generation, uint32_t slot, size_t i) {
  return static_cast<uint8_t>(i * 31 + (i >> 8) * 7 + generation * 13 + slot * 3);
}

uint64_t publish_pattern(FramePool& pool, uint32_t slot, uint64_t generation) {
  PoolMemory& memory = pool.memory();
  memory.begin_write(slot);
  uint8_t* const data = memory.host(slot);
  for (size_t i = 0; i < pool.options().layout.slot_bytes; ++i) {
    data[i] = expected(generation, slot, i);
  }
  memory.end_write(slot);
  return pool.publish(slot);
}

// Whether every byte of the planes is the pattern.
bool is_pattern(const SlotLease& lease) {
  const FrameRead read = lease.read();
  const FrameView& view = read.view();
  const uint8_t* const start = view.data[0];
  for (uint32_t plane = 0; plane < plane_count(view.format.pixel_format); ++plane) {
    for (uint32_t y = 0; y < plane_rows(view.format, plane); ++y) {
      const uint8_t* const row = view.data[plane] + size_t{y} * view.stride[plane];
      for (uint32_t x = 0; x < plane_row_bytes(view.format, plane); ++x) {
        const auto i = static_cast<size_t>(row + x - start);
        if (row[x] != expected(lease.generation(), lease.slot(), i)) return false;
      }
    }
  }
  return true;
}

// Mappings of DMA-BUFs of the bus in this process; with `access`, such as "r--s".
size_t dmabuf_maps(const std::string& access = "") {
  std::ifstream maps("/proc/self/maps");
  size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    const bool ours = line.find("/dmabuf:framebus-") != std::string::npos;
    count += ours && line.find(" " + access) != std::string::npos ? 1 : 0;
  }
  return count;
}

constexpr const char* kKernelList = "/sys/kernel/debug/dma_buf/bufinfo";

// DMA-BUFs of the bus that live in the kernel, whoever has them; 0 without debugfs.
size_t kernel_dmabufs() {
  std::ifstream list(kKernelList);
  size_t count = 0;
  for (std::string line; std::getline(list, line);) {
    count += line.find("framebus-") != std::string::npos ? 1 : 0;
  }
  return count;
}

template <class Body>
int in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) {
    int result = 99;
    try {
      result = body();
    } catch (const std::exception& error) {
      std::printf("# in the child: %s\n", error.what());
      std::fflush(stdout);
    }
    ::_exit(result);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

// A process of the test's own; killed and waited for at the end, also of a test that fails.
class Child {
 public:
  template <class Body>
  explicit Child(Body body) : pid_(::fork()) {
    if (pid_ != 0) return;
    try {
      body();
    } catch (const std::exception& error) {
      std::printf("# in the child: %s\n", error.what());
      std::fflush(stdout);
    }
    ::_exit(1);
  }
  ~Child() { kill(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_;
};

Error error_of(const FramePoolOptions& options) {
  try {
    FramePool::create(options);
  } catch (const Error& error) {
    return error;
  }
  return {"", ""};
}

bool says(const Error& error, const std::string& text) {
  return std::string(error.what()).find(text) != std::string::npos;
}

}  // namespace

TEST("without devices the error names them and what to do") {
  const auto check = [](const std::string& reason) {
    const Error error = error_of(pool_options());
    const bool good = std::string(error.code()) == "MEMORY_UNSUPPORTED" && says(error, "gate") &&
                      says(error, "/dev/udmabuf") && says(error, "/dev/dma_heap") &&
                      says(error, reason) && says(error, "modprobe udmabuf") &&
                      says(error, "use memory shm");
    if (!good) std::printf("# %s: %s\n", error.code(), error.what());
    return good;
  };
  if (!has_devices()) {
    CHECK(check("no /dev/dma_heap"));
    return;
  }
  if (::geteuid() != 0) return;
  // Somebody whom the devices are not open to.
  CHECK(in_child([&] { return ::setuid(54321) == 0 && check("Permission denied") ? 0 : 1; }) == 0);
}

TEST("no more slots than descriptors fit one message") {
  const Error error = error_of(pool_options(kMaxDmabufSlots + 1));
  CHECK(std::string(error.code()) == "BAD_OPTIONS" && says(error, "at most 250"));
  PoolMessage message;
  message.memory = MemoryKind::kDmabuf;
  message.slots = kMaxDmabufSlots;
  message.format = pool_options().format;
  message.layout = pool_options().layout;
  message.slot_stride = message.layout.slot_bytes;
  CHECK(is_sane(message) && pixel_fds(message) == kMaxDmabufSlots);
  ++message.slots;
  CHECK(!is_sane(message));
}

TEST("what is no DMA-BUF is not mapped") {
  const Memfd memory = create_memfd("framebus-fake", 1 << 20, Writers::kAnyHolder);
  const auto refused = [](int fd) {
    std::vector<UniqueFd> fds;
    fds.emplace_back(::dup(fd));
    try {
      const DmabufPoolMapping mapping(fds, 4096);
    } catch (const Error& error) {
      return std::string(error.code()) == "BUS_MEMORY" && says(error, "slot 0 is no DMA-BUF");
    }
    return false;
  };
  const int begins = syncs.begins;
  CHECK(refused(memory.fd.get()));
  int ends[2];
  CHECK(::pipe(ends) == 0);
  CHECK(refused(ends[0]));
  CHECK(refused(-1));
  CHECK(syncs.begins == begins);  // Nor was it asked anything.
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST("memory that is smaller than it says is refused") {
  if (skipped()) return;
  const auto exporters = find_dmabuf_exporters();
  const std::vector<UniqueFd> fds = exporters.found.front()->allocate("framebus-small", 2, 8192);
  CHECK(dmabuf_bytes(fds[1].get()) == 8192);
  const DmabufPoolMapping fits(fds, 8192);
  try {
    const DmabufPoolMapping larger(fds, 12288);
    CHECK(false);
  } catch (const Error& error) {
    CHECK(says(error, "smaller than it says"));
  }
  try {
    fits.begin_read(2);
    CHECK(false);
  } catch (const std::out_of_range&) {
  }
}

TEST("another process reads byte for byte what was written") {
  if (skipped()) return;
  const Directory directory;
  const Producer producer(directory);
  const auto pool = offer(producer);
  const auto& memory = dynamic_cast<const DmabufPoolMemory&>(pool->memory());
  std::printf("# memory from %s\n", memory.exporter().c_str());
  int ask[2];
  int answer[2];
  CHECK(::pipe(ask) == 0 && ::pipe(answer) == 0);
  Child child([&] {
    Worker worker(directory);
    worker.consumer->attach("ingest-0", pool->epoch());
    uint64_t frame[2];
    while (::read(ask[0], frame, sizeof(frame)) == sizeof(frame)) {
      const auto lease = worker.lease(*pool, static_cast<uint32_t>(frame[0]), frame[1]);
      const bool good = lease != nullptr && lease->memory() == MemoryKind::kDmabuf &&
                        is_pattern(*lease) && dmabuf_maps("r--s") == pool->options().slots;
      if (::write(answer[1], good ? "y" : "n", 1) != 1) break;
    }
  });
  for (uint64_t round = 1; round <= 10; ++round) {
    for (uint32_t n = 0; n < pool->options().slots; ++n) {
      const uint32_t slot = *pool->acquire_displacing();
      const uint64_t frame[2] = {slot, publish_pattern(*pool, slot, round)};
      CHECK(frame[1] == round);
      CHECK(::write(ask[1], frame, sizeof(frame)) == sizeof(frame));
      char good = 'n';
      CHECK(::read(answer[0], &good, 1) == 1 && good == 'y');
    }
  }
  child.kill();
  for (const int fd : {ask[0], ask[1], answer[0], answer[1]}) ::close(fd);
}

TEST("every access of the CPU stands between a begin and an end") {
  if (skipped()) return;
  const Directory directory;
  const Producer producer(directory);
  const auto pool = offer(producer);
  Worker worker(directory);
  worker.consumer->attach("ingest-0", pool->epoch());
  const uint32_t slot = *pool->acquire();
  int begins = syncs.begins;
  int ends = syncs.ends;
  syncs.to_interrupt = 3;  // The kernel's EINTR and EAGAIN mean: again.
  const uint64_t g = publish_pattern(*pool, slot, 1);
  CHECK(syncs.to_interrupt == 0);
  CHECK(syncs.begins == begins + 1 && syncs.ends == ends + 1);
  CHECK(syncs.last_begin == DMA_BUF_SYNC_WRITE && syncs.last_end == DMA_BUF_SYNC_WRITE);
  const auto lease = worker.lease(*pool, slot, g);
  CHECK(syncs.begins == begins + 1);
  begins = syncs.begins;
  ends = syncs.ends;
  {
    const FrameRead outer = lease->read();
    CHECK(syncs.begins == begins + 1 && syncs.last_begin == DMA_BUF_SYNC_READ);
    {
      const FrameRead inner = lease->read();
      CHECK(inner.view().data[0] == outer.view().data[0]);
    }
    CHECK(syncs.begins == begins + 1 && syncs.ends == ends);
  }
  CHECK(syncs.ends == ends + 1 && syncs.last_end == DMA_BUF_SYNC_READ);
}

TEST("a consumer killed with a lease costs the producer nothing") {
  if (skipped()) return;
  const Directory directory;
  Producer producer(directory);
  const auto pool = offer(producer);
  const uint32_t slot = *pool->acquire();
  const uint64_t g = publish_pattern(*pool, slot, 1);
  int ready[2];
  CHECK(::pipe(ready) == 0);
  Child child([&] {
    Worker worker(directory);
    worker.consumer->attach("ingest-0", pool->epoch());
    const auto lease = worker.lease(*pool, slot, g);
    const FrameRead read = lease->read();  // Killed between begin and end.
    if (::write(ready[1], "y", 1) == 1) ::pause();
  });
  char ok = 'n';
  CHECK(::read(ready[0], &ok, 1) == 1 && ok == 'y');
  CHECK(pool->delivery(slot, g, "infer") == Delivery::kHeld);
  child.kill();
  CHECK(producer.events.next().type == Type::kAttached);
  const BusServerEvent event = producer.events.next();
  CHECK(event.type == Type::kDetached && event.held.size() == 1 && event.held[0].slot == slot);
  pool->end_delivery(slot, g, "infer");
  pool->end_delivery(slot, g, "sink");
  for (uint32_t n = 0; n < pool->options().slots; ++n) CHECK(pool->acquire());
  CHECK(publish_pattern(*pool, slot, 2) == 2);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST("frames of a killed producer stay readable, and their memory goes with the last lease") {
  if (skipped()) return;
  const size_t before = kernel_dmabufs();
  const Directory directory;
  int ready[2];
  CHECK(::pipe(ready) == 0);
  struct Frame {
    char epoch[kEpochDigits];
    uint64_t slot, generation;
  } frame{};
  Child child([&] {
    const Producer producer(directory);
    const auto pool = offer(producer);
    pool->epoch().copy(frame.epoch, kEpochDigits);
    frame.slot = *pool->acquire();
    frame.generation = publish_pattern(*pool, static_cast<uint32_t>(frame.slot), 1);
    if (::write(ready[1], &frame, sizeof(frame)) == sizeof(frame)) ::pause();
  });
  CHECK(::read(ready[0], &frame, sizeof(frame)) == sizeof(frame));
  const std::string epoch(frame.epoch, kEpochDigits);
  Worker worker(directory);
  worker.consumer->attach("ingest-0", epoch);
  auto result = worker.consumer->lease(epoch, static_cast<uint32_t>(frame.slot), frame.generation);
  auto lease = std::get<std::shared_ptr<SlotLease>>(std::move(result));
  child.kill();
  CHECK(worker.events.next().producer == "ingest-0");
  CHECK(is_pattern(*lease));
  CHECK(dmabuf_maps() == 4);
  lease.reset();
  CHECK(soon([] { return dmabuf_maps() == 0; }));
  CHECK(soon([&] { return kernel_dmabufs() == before; }));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST("200 attaches leave no descriptor, no mapping, no memory") {
  if (skipped()) return;
  const size_t maps = bus_maps();
  const size_t kernel = kernel_dmabufs();
  size_t fds = 0;
  {
    const Directory directory;
    const Producer producer(directory);
    const auto pool = offer(producer, 8);
    if (std::ifstream(kKernelList).good()) CHECK(kernel_dmabufs() == kernel + 8);
    const auto once = [&] {
      Worker worker(directory);
      worker.consumer->attach("ingest-0", pool->epoch());
      const uint32_t slot = *pool->acquire_displacing();
      const auto lease = worker.lease(*pool, slot, publish_pattern(*pool, slot, 1));
      CHECK(lease->read().view().data[0] != nullptr);
    };
    once();
    CHECK(soon([&] { return producer.server->consumers().empty(); }));
    fds = open_fds();
    for (int i = 0; i < 200; ++i) once();
    CHECK(soon([&] { return producer.server->consumers().empty() && open_fds() == fds; }));
    CHECK(dmabuf_maps() == 8);  // The producer's own.
  }
  CHECK(open_fds() < fds);
  CHECK(bus_maps() == maps);
  CHECK(kernel_dmabufs() == kernel);
}

TEST("the kernel makes no read-only descriptor of one that is not") {
  if (skipped()) return;
  // If it ever does, consumers should be given those; see dmabuf_pool_mapping.h.
  const auto pool = FramePool::create(pool_options());
  const int fd = pool->memory().fds().front();
  const UniqueFd again(::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY));
  std::printf("# reopening: %s\n", again ? "works" : std::strerror(errno));
  CHECK(!again);
}

TEST("too few descriptors are an error that says so") {
  if (skipped()) return;
  const int result = in_child([] {
    const rlimit few{40, 40};
    if (::setrlimit(RLIMIT_NOFILE, &few) != 0) return 2;
    const Error error = error_of(pool_options(100));
    std::printf("# %s\n", error.what());
    std::fflush(stdout);
    const bool good =
        std::string(error.code()) == "BUS_MEMORY" && says(error, "limit of open files");
    return good && open_fds() < 20 ? 0 : 1;
  });
  CHECK(result == 0);
  const Directory directory;
  const Producer producer(directory);
  const auto pool = offer(producer, 100);
  rlimit usual{};
  CHECK(::getrlimit(RLIMIT_NOFILE, &usual) == 0);
  const rlimit few{open_fds() + 60, usual.rlim_max};
  CHECK(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  Worker worker(directory);
  worker.attach_error("ingest-0", pool->epoch());
  CHECK(::setrlimit(RLIMIT_NOFILE, &usual) == 0);
  std::printf("# %s\n", worker.last_message.c_str());
  CHECK(worker.last_message.find("no file descriptors left") != std::string::npos);
}

TEST("more memory than there is is NO_SPACE, not a signal") {
  if (skipped()) return;
  FramePoolOptions options = pool_options(kMaxDmabufSlots);
  options.format.width = 15360;
  options.format.height = 8640;
  options.layout = tight_layout(options.format);
  const Error error = error_of(options);
  std::printf("# %s: %s\n", error.code(), error.what());
  CHECK(std::string(error.code()) == "NO_SPACE" && says(error, "gate"));
}

int main() { return framebus::test::run_all(); }
