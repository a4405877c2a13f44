// A hostile producer against BusConsumer: offers pools that are not what they
// say, in memory that is not what it should be. An attach works or says why,
// and every byte of a lease can be read.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "../bus_rig.h"
#include "core/bus_layout.h"
#include "core/bus_message.h"
#include "core/bus_socket.h"
#include "fuzz_input.h"

using namespace framebus;
using namespace framebus::test;

namespace {

const std::string kEpoch(kEpochDigits, 'a');
constexpr int kSized = F_SEAL_SHRINK | F_SEAL_GROW;
constexpr int kReadOnly = kSized | 0x0010;  // F_SEAL_FUTURE_WRITE.

struct Door {
  const Directory directory;
  const BusListener listener{directory.path(), "ingest-0", false};
};

Door& door() {
  static Door only;
  return only;
}

class HostileProducer {
 public:
  explicit HostileProducer(FuzzInput& input) : input_(input) {}

  void serve(const std::atomic<bool>& over) {
    while (!over) {
      pollfd readable{door().listener.fd(), POLLIN, 0};
      if (::poll(&readable, 1, 2) != 1) continue;
      peer_.reset(::accept4(readable.fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      converse(over);
    }
  }

 private:
  std::optional<Received> next(const std::atomic<bool>& over) {
    while (!over) {
      pollfd readable{peer_.get(), POLLIN, 0};
      ::poll(&readable, 1, 2);
      Received received = receive(peer_.get(), true);
      if (received.status == Received::Status::kGone) return std::nullopt;
      if (received.status == Received::Status::kMessage) return received;
    }
    return std::nullopt;
  }
  void send(Bytes bytes, const std::vector<int>& fds = {}) {
    send_bytes(peer_.get(), bytes.data(), bytes.size(), fds);
  }
  void converse(const std::atomic<bool>& over) {
    if (!next(over)) return;
    greet();
    while (const std::optional<Received> received = next(over)) {
      const auto attach = read_message<AttachMessage>(received->data.data(), received->bytes);
      if (attach) answer(attach->ticket);
    }
  }
  void greet() {
    Bytes bytes = bytes_of(WelcomeMessage{});
    if (input_.one_in(16)) bytes = bytes_of(RefusedMessage{});
    if (input_.one_in(8)) input_.mutate(bytes);
    if (bytes.empty()) bytes.resize(1);
    send(std::move(bytes));
  }
  void answer(uint64_t ticket) {
    Bytes bytes;
    switch (input_.byte() % 10) {
      case 0:
        bytes = bytes_of(epoch_message<NoPoolMessage>(kEpoch, ticket));
        break;
      case 1:
        bytes = bytes_of(epoch_message<RetiredMessage>(kEpoch));
        break;
      case 2:
        bytes = bytes_of(FencedMessage{});
        break;
      case 3:
        bytes = bytes_of(epoch_message<RefusedAttachMessage>(kEpoch, ticket));
        break;
      default:
        return offer(ticket);
    }
    if (input_.one_in(2)) input_.mutate(bytes);
    if (bytes.empty()) bytes.resize(1);
    const auto type = message_type(bytes.data(), bytes.size());
    send(std::move(bytes));
    // The attach need not wait for its time.
    if (type == BusMessageType::kRetired) {
      send(bytes_of(epoch_message<NoPoolMessage>(kEpoch, ticket)));
    }
  }
  void offer(uint64_t ticket);
  UniqueFd memory(size_t bytes, int seals);
  void fill(int fd, const PoolMessage& message, size_t bytes);

  FuzzInput& input_;
  UniqueFd peer_;
};

// Of that size and sealed so, unless the input says otherwise.
UniqueFd HostileProducer::memory(size_t bytes, int seals) {
  if (input_.one_in(12)) return UniqueFd(::open("/dev/zero", O_RDWR | O_CLOEXEC));
  if (input_.one_in(8)) bytes = 1 + input_.value() % bytes;
  UniqueFd fd(::memfd_create("framebus-fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  CHECK(fd && ::ftruncate(fd.get(), static_cast<off_t>(bytes)) == 0);
  if (!input_.one_in(12)) CHECK(::fallocate(fd.get(), 0, 0, static_cast<off_t>(bytes)) == 0);
  if (input_.one_in(8)) seals = input_.byte() % 32 & ~F_SEAL_WRITE;
  CHECK(::fcntl(fd.get(), F_ADD_SEALS, seals & ~0x0010) == 0);
  return fd;
}

void HostileProducer::fill(int fd, const PoolMessage& message, size_t bytes) {
  PoolHeader header{
      kPoolMagic, kPoolVersion, message.slots, message.slot_stride, pool_data_offset(message.slots),
      {}};
  kEpoch.copy(header.epoch, kEpochDigits);
  Bytes head = bytes_of(header);
  if (input_.one_in(8)) input_.mutate(head);
  [[maybe_unused]] ssize_t put = ::pwrite(fd, head.data(), std::min(head.size(), bytes), 0);
  for (uint32_t slot = 0; slot < message.slots; ++slot) {
    const SlotWord word{
        input_.byte() % 4U, static_cast<uint8_t>(input_.byte() % 4),
        input_.one_in(3) ? static_cast<SlotState>(input_.byte() % 6) : SlotState::kPublished};
    const uint64_t bits = input_.one_in(8) ? input_.number() : word.pack();
    put =
        ::pwrite(fd, &bits, sizeof(bits), static_cast<off_t>(kPageBytes + slot * sizeof(SlotLine)));
  }
}

void HostileProducer::offer(uint64_t ticket) {
  auto message = epoch_message<PoolMessage>(kEpoch, ticket);
  message.slots = 4;
  message.group = 0;
  message.hold = 4;
  message.format.width = 64;
  message.format.height = 48;
  if (input_.one_in(2)) message.format.pixel_format = PixelFormat::kNv12;
  message.layout = tight_layout(message.format);
  message.slot_stride = round_up(message.layout.slot_bytes, kPageBytes);
  const size_t bytes = pool_bytes(message.slots, message.slot_stride);
  const UniqueFd pool = memory(bytes, kSized);
  fill(pool.get(), message, bytes);
  if (!input_.one_in(12)) ::fcntl(pool.get(), F_ADD_SEALS, kReadOnly);
  const UniqueFd lane = memory(lane_bytes(message.slots), kSized);
  Bytes said = bytes_of(message);
  if (input_.one_in(2)) input_.mutate(said);
  if (said.empty()) said.resize(1);
  std::vector<int> fds{pool.get(), lane.get()};
  if (input_.one_in(8)) fds.resize(input_.byte() % 6, pool.get());
  send(std::move(said), fds);
  // Takes the memory away from whoever mapped it without looking at its seals.
  for (const int fd : {pool.get(), lane.get()}) {
    [[maybe_unused]] const int result = input_.one_in(2) ? ::ftruncate(fd, 0) : 0;
  }
}

void consume() {
  static const std::array<const char*, 7> kKnown{
      "BUS_UNREACHABLE", "BUS_REFUSED",     "BUS_ADMISSION",     "BUS_EPOCH_GONE",
      "BUS_MEMORY",      "BUS_MEMORY_GONE", "MEMORY_UNSUPPORTED"};
  const auto consumer = BusConsumer::create(
      {.directory = door().directory.path(), .name = "fuzz", .group = "infer", .max_held = 8},
      [](const DetachedEvent&) {});
  for (int attempt = 0; attempt < 2; ++attempt) {
    try {
      consumer->attach("ingest-0", kEpoch);
    } catch (const Error& error) {
      CHECK(std::any_of(kKnown.begin(), kKnown.end(),
                        [&](const char* code) { return std::string(code) == error.code(); }));
      continue;
    }
    std::vector<std::shared_ptr<SlotLease>> held;
    for (uint32_t turn = 0; turn < 30; ++turn) {
      auto result = consumer->lease(kEpoch, turn % 5, turn / 5 % 4);
      auto* const lease = std::get_if<std::shared_ptr<SlotLease>>(&result);
      if (lease == nullptr) continue;
      touch(**lease);
      held.push_back(std::move(*lease));
    }
    held.clear();
    CHECK(consumer->held() == 0);
  }
  consumer->close();
}

}  // namespace

int LLVMFuzzerInitialize(int* count, char*** values) {
  make_seeds_if_asked(*count, *values, 64, 150);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  FuzzInput input(data, bytes);
  door();
  const size_t fds = open_fds();
  const size_t maps = bus_maps();
  {
    std::atomic<bool> over{false};
    std::jthread producer([&] { HostileProducer(input).serve(over); });
    consume();
    over = true;
  }
  CHECK(open_fds() <= fds);
  CHECK(bus_maps() == maps);
  return 0;
}
