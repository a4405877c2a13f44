// The bus against peers and descriptors that are wrong in every way. With a
// fixed seed; `bus_fuzz_test 1000 7` runs a thousand times as long with another.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "bus_rig.h"
#include "check.h"
#include "core/bus_layout.h"
#include "core/bus_message.h"
#include "core/bus_socket.h"
#include "fuzz_kit.h"
#include "raw_peer.h"

using namespace framebus;
using namespace framebus::test;

namespace {

uint64_t rounds(uint64_t usual) { return usual * fuzz_arguments().times; }
Random random_for(uint64_t test) { return Random(fuzz_arguments().seed * 1000 + test); }

FrameFormat small_format() {
  FrameFormat format;
  format.width = 64;
  format.height = 48;
  return format;
}

std::string random_epoch(Random& random) {
  std::string epoch(kEpochDigits, '0');
  for (char& digit : epoch) digit = "0123456789abcdef"[random.below(16)];
  return epoch;
}

// Like send_bytes(), with as many descriptors as one likes.
bool send_raw(int peer, Bytes& bytes, const std::vector<int>& fds) {
  iovec part{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(8 * sizeof(int))> control{};
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  }
  return ::sendmsg(peer, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

// ------------------------------------------------------------ hostile clients

Bytes client_message(Random& random, const std::string& epoch) {
  const uint64_t ticket = random.below(4);
  switch (random.below(8)) {
    case 0:
      return bytes_of(hello());
    case 1:
      return bytes_of(WelcomeMessage{});
    case 2:
      return bytes_of(epoch_message<PoolMessage>(epoch, ticket));
    case 3:
      return bytes_of(epoch_message<DropMessage>(epoch, ticket));
    case 4:
      return bytes_of(epoch_message<AttachMessage>(random_epoch(random), ticket));
    case 5:
      return bytes_of(epoch_message<RetiredMessage>(epoch));
    default:
      return bytes_of(epoch_message<AttachMessage>(epoch, ticket));
  }
}

// Writes whatever it likes into a lane that it was given.
void spoil_lane(Random& random, int lane, uint32_t slots) {
  void* const memory =
      ::mmap(nullptr, lane_bytes(slots), PROT_READ | PROT_WRITE, MAP_SHARED, lane, 0);
  CHECK(memory != MAP_FAILED);
  auto* const words = static_cast<std::atomic<uint64_t>*>(memory);
  for (uint32_t at = 0; at < sizeof(LaneHeader) / sizeof(uint64_t) + slots; ++at) {
    LaneWord word{random.below(64), static_cast<LanePhase>(random.below(5)), random.one_in(2)};
    words[at] = random.one_in(4) ? random.next() : word.pack();
  }
  ::munmap(memory, lane_bytes(slots));
}

// Reads what there is; with descriptors of a pool, spoils the lane.
bool read_answer(Random& random, const UniqueFd& peer) {
  pollfd readable{peer.get(), POLLIN, 0};
  ::poll(&readable, 1, 2);
  const Received received = receive(peer.get(), true);
  const auto pool = read_message<PoolMessage>(received.data.data(), received.bytes);
  if (received.status != Received::Status::kMessage) return false;
  if (pool && received.fds.size() == 2) spoil_lane(random, received.fds[1].get(), pool->slots);
  return true;
}

void hostile_client(Random& random, const Directory& directory, const std::string& epoch) {
  const UniqueFd peer = connect_to(directory);
  if (!random.one_in(4)) send_message(peer.get(), hello());
  const uint64_t messages = 1 + random.below(6);
  for (uint64_t i = 0; i < messages; ++i) {
    Bytes bytes = client_message(random, epoch);
    if (!random.one_in(3)) mutate(random, bytes);
    std::vector<int> fds;
    if (random.one_in(3)) fds.assign(1 + random.below(8), peer.get());
    if (!send_raw(peer.get(), bytes, fds)) break;
    if (random.one_in(2)) read_answer(random, peer);
  }
}

// ------------------------------------------------------------ hostile servers

UniqueFd memory_of(size_t bytes, int seals, bool allocated = true) {
  UniqueFd fd(::memfd_create("framebus-fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  CHECK(fd && ::ftruncate(fd.get(), static_cast<off_t>(bytes)) == 0);
  if (allocated) CHECK(::fallocate(fd.get(), 0, 0, static_cast<off_t>(bytes)) == 0);
  CHECK(::fcntl(fd.get(), F_ADD_SEALS, seals) == 0);
  return fd;
}

constexpr int kSized = F_SEAL_SHRINK | F_SEAL_GROW;
constexpr int kReadOnly = kSized | 0x0010;  // F_SEAL_FUTURE_WRITE.

// A pool as a good producer describes it.
struct Offer {
  PoolMessage message;
  PoolHeader header{};
  explicit Offer(const std::string& epoch, uint64_t ticket)
      : message(epoch_message<PoolMessage>(epoch, ticket)) {
    message.slots = 4;
    message.group = 0;
    message.format = small_format();
    message.layout = tight_layout(message.format);
    message.slot_stride = round_up(message.layout.slot_bytes, kPageBytes);
    header = {kPoolMagic,
              kPoolVersion,
              message.slots,
              message.slot_stride,
              pool_data_offset(message.slots),
              {}};
    epoch.copy(header.epoch, kEpochDigits);
  }
};

UniqueFd pool_memory(Random& random, const Offer& offer) {
  size_t bytes = pool_bytes(offer.message.slots, offer.message.slot_stride);
  if (random.one_in(8)) return UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (random.one_in(8)) bytes = 1 + random.below(bytes);
  if (random.one_in(8)) return memory_of(bytes, kReadOnly, false);
  UniqueFd fd = memory_of(bytes, 0);
  Bytes header = bytes_of(offer.header);
  if (random.one_in(6)) mutate(random, header);
  CHECK(::pwrite(fd.get(), header.data(), std::min(header.size(), bytes), 0) >= 0);
  for (uint32_t slot = 0; slot < offer.message.slots; ++slot) {
    const SlotWord word{
        random.below(4), static_cast<uint8_t>(random.below(4)),
        random.one_in(2) ? SlotState::kPublished : static_cast<SlotState>(random.below(6))};
    const uint64_t bits = random.one_in(6) ? random.next() : word.pack();
    const size_t at = kPageBytes + slot * sizeof(SlotLine);
    if (at + sizeof(bits) <= bytes) {
      CHECK(::pwrite(fd.get(), &bits, sizeof(bits), static_cast<off_t>(at)) == sizeof(bits));
    }
  }
  const int seals =
      random.one_in(8) ? static_cast<int>(random.below(32)) & ~F_SEAL_WRITE : kReadOnly;
  CHECK(::fcntl(fd.get(), F_ADD_SEALS, seals) == 0);
  return fd;
}

UniqueFd lane_memory(Random& random, const Offer& offer) {
  if (random.one_in(8)) return UniqueFd(::open("/dev/zero", O_RDWR | O_CLOEXEC));
  const size_t bytes =
      random.one_in(8) ? 1 + random.below(kPageBytes) : lane_bytes(offer.message.slots);
  return memory_of(bytes, random.one_in(8) ? F_SEAL_GROW : random.one_in(8) ? kReadOnly : kSized);
}

void offer_pool(Random& random, int peer, const std::string& epoch, uint64_t ticket) {
  Offer offer(random.one_in(10) ? random_epoch(random) : epoch,
              random.one_in(10) ? random.value() : ticket);
  const UniqueFd memory = pool_memory(random, offer);
  const UniqueFd lane = lane_memory(random, offer);
  Bytes bytes = bytes_of(offer.message);
  if (random.one_in(3)) mutate(random, bytes);
  std::vector<int> fds{memory.get(), lane.get()};
  if (random.one_in(8)) std::swap(fds.front(), fds.back());
  if (random.one_in(8)) fds.resize(random.below(9), memory.get());
  send_raw(peer, bytes, fds);
  if (!random.one_in(4)) return;
  // Takes the memory away from whoever mapped it without looking at its seals.
  std::this_thread::sleep_for(200us);
  for (const int fd : {memory.get(), lane.get()}) {
    [[maybe_unused]] const int result = ::ftruncate(fd, 0);
  }
}

void answer_attach(Random& random, int peer, const AttachMessage& attach) {
  const std::string epoch = epoch_text(attach.epoch).value_or(std::string(kEpochDigits, '0'));
  Bytes bytes;
  switch (random.below(8)) {
    case 0:
      bytes = bytes_of(epoch_message<NoPoolMessage>(epoch, attach.ticket));
      break;
    case 1:
      bytes = bytes_of(epoch_message<RetiredMessage>(epoch));
      break;
    case 2:
      bytes = bytes_of(WelcomeMessage{});
      break;
    default:
      return offer_pool(random, peer, epoch, attach.ticket);
  }
  const bool unanswered = message_type(bytes.data(), bytes.size()) == BusMessageType::kRetired;
  if (random.one_in(2)) mutate(random, bytes);
  send_raw(peer, bytes, {});
  // The attach need not wait for its time.
  if (unanswered) send_message(peer, epoch_message<NoPoolMessage>(epoch, attach.ticket));
}

std::optional<Received> wait_for_message(int peer, const std::atomic<bool>& stop) {
  while (!stop) {
    pollfd readable{peer, POLLIN, 0};
    ::poll(&readable, 1, 20);
    Received received = receive(peer, true);
    if (received.status == Received::Status::kGone) return std::nullopt;
    if (received.status == Received::Status::kMessage) return received;
  }
  return std::nullopt;
}

// Speaks with one consumer until either has enough.
void hostile_conversation(Random& random, int peer, const std::atomic<bool>& stop) {
  if (!wait_for_message(peer, stop)) return;
  Bytes greeting = bytes_of(WelcomeMessage{});
  if (random.one_in(12)) {
    greeting = bytes_of(RefusedMessage{});
    std::memset(greeting.data() + sizeof(BusMessageHead), 'r', kReasonBytes - random.below(2));
  }
  if (random.one_in(8)) mutate(random, greeting);
  send_raw(peer, greeting, {});
  for (uint64_t i = 0; i < 4; ++i) {
    const std::optional<Received> received = wait_for_message(peer, stop);
    if (!received) return;
    const auto attach = read_message<AttachMessage>(received->data.data(), received->bytes);
    if (!attach) continue;
    const uint64_t answers = random.one_in(4) ? 2 + random.below(2) : 1;
    for (uint64_t k = 0; k < answers; ++k) answer_attach(random, peer, *attach);
    if (random.one_in(6)) return;
  }
}

void serve_hostile(int listener, uint64_t seed, const std::atomic<bool>& stop) {
  Random random(seed);
  while (!stop) {
    pollfd readable{listener, POLLIN, 0};
    ::poll(&readable, 1, 20);
    const UniqueFd peer(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (peer) hostile_conversation(random, peer.get(), stop);
  }
}

}  // namespace

TEST("what passes the checks of a pool message lies inside its memory") {
  Random random = random_for(1);
  uint64_t sane = 0;
  const uint64_t count = rounds(500'000);
  for (uint64_t i = 0; i < count; ++i) {
    Offer offer(std::string(kEpochDigits, 'a'), 1);
    if (random.one_in(2)) offer.message.format.pixel_format = PixelFormat::kNv12;
    Bytes bytes = bytes_of(offer.message);
    mutate(random, bytes);
    const auto message = read_message<PoolMessage>(bytes.data(), bytes.size());
    if (!message || !is_sane(*message)) continue;
    ++sane;
    CHECK(message->slots > 0 && message->slots <= kMaxSlots);
    __extension__ typedef unsigned __int128 Wide;
    const FrameFormat& format = message->format;
    const uint32_t planes = format.pixel_format == PixelFormat::kNv12 ? 2 : 3;
    for (uint32_t p = 0; p < planes; ++p) {
      const Wide rows = p == 0 ? Wide{format.height} : (Wide{format.height} + 1) / 2;
      const Wide half = (Wide{format.width} + 1) / 2;
      const Wide row = p == 0 ? Wide{format.width} : planes == 2 ? half * 2 : half;
      const Wide end = message->layout.offset[p] + (rows - 1) * message->layout.stride[p] + row;
      CHECK(end <= message->slot_stride);
    }
  }
  std::printf("# %llu of %llu mutants pass\n", static_cast<unsigned long long>(sane),
              static_cast<unsigned long long>(count));
  CHECK(sane > count / 100 && sane < count);
}

TEST("hostile clients: the producer and its good consumer go on, nothing is left over") {
  Random random = random_for(2);
  const Directory directory;
  Producer producer(directory);
  const auto pool = producer.pool(6);
  Worker good(directory, "sink");
  good.consumer->attach("ingest-0", pool->epoch());
  const auto only_good = [&] { return producer.server->consumers().size() == 1; };
  const size_t fds = entries("/proc/self/fd");
  const size_t maps = bus_maps();
  uint64_t frames = 0;
  const uint64_t count = rounds(10'000);
  for (uint64_t i = 0; i < count; ++i) {
    hostile_client(random, directory, pool->epoch());
    // A spoiled lane may hold a slot as long as its connection lasts.
    const auto slot = pool->acquire_displacing();
    if (!slot) continue;
    const auto value = static_cast<uint8_t>(random.next());
    const uint64_t generation = write_frame(*pool, *slot, value);
    if (random.one_in(2)) pool->end_delivery(*slot, generation, "infer");
    const auto lease = good.lease(*pool, *slot, generation);
    CHECK(lease != nullptr && lease->valid() && lease->data()[i % 1000] == value);
    ++frames;
  }
  CHECK(soon(only_good));
  CHECK(soon([&] { return entries("/proc/self/fd") <= fds; }));
  CHECK(bus_maps() == maps);
  pool->end_deliveries();
  for (int i = 0; i < 6; ++i) CHECK(pool->acquire());
  std::printf("# %llu clients, %llu frames meanwhile\n", static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(frames));
  CHECK(frames > count / 2);
}

TEST("hostile servers: an attach works or says why, what is leased can be read") {
  Random random = random_for(3);
  const Directory directory;
  const size_t fds = entries("/proc/self/fd");
  const size_t maps = bus_maps();
  std::map<std::string, uint64_t> outcomes;
  uint64_t leases = 0;
  uint64_t sum = 0;
  {
    const BusListener listener(directory.path(), "ingest-0", false);
    std::atomic<bool> stop{false};
    std::jthread server([&, seed = random.next()] { serve_hostile(listener.fd(), seed, stop); });
    const uint64_t count = rounds(5'000);
    for (uint64_t i = 0; i < count; ++i) {
      Worker worker(directory);
      const std::array<std::string, 2> epochs{random_epoch(random), random_epoch(random)};
      for (const std::string& epoch : epochs) ++outcomes[worker.attach_error("ingest-0", epoch)];
      if (random.one_in(2)) std::this_thread::sleep_for(1ms);  // Time to take memory away.
      for (uint32_t turn = 0; turn < 40; ++turn) {
        const auto result = worker.consumer->lease(epochs[turn / 20], turn % 5, turn % 4);
        const auto* const lease = std::get_if<std::shared_ptr<SlotLease>>(&result);
        if (lease == nullptr) continue;
        ++leases;
        sum += touch(**lease);
      }
      CHECK(worker.consumer->held() == 0);
    }
    stop = true;
  }
  for (const auto& [code, times] : outcomes) {
    std::printf("# %s: %llu\n", code.empty() ? "attached" : code.c_str(),
                static_cast<unsigned long long>(times));
  }
  std::printf("# %llu leases, sum %llu\n", static_cast<unsigned long long>(leases),
              static_cast<unsigned long long>(sum));
  const std::set<std::string> known{"", "BUS_UNREACHABLE", "BUS_REFUSED", "BUS_MEMORY",
                                    "BUS_EPOCH_GONE"};
  for (const auto& [code, times] : outcomes) CHECK(known.contains(code));
  for (const std::string& code : known) CHECK(outcomes[code] > 0);
  CHECK(leases > 0);
  CHECK(soon([&] { return entries("/proc/self/fd") <= fds; }));
  CHECK(bus_maps() == maps);
}

TEST("a producer can neither offer nor retire what belongs to another one") {
  Random random = random_for(5);
  const Directory directory;
  const Producer producer(directory);
  const auto pool = producer.pool();
  const auto other = producer.pool();
  Worker worker(directory);
  worker.consumer->attach("ingest-0", pool->epoch());
  const BusListener listener(directory.path(), "rogue", false);
  std::atomic<bool> stop{false};
  std::jthread rogue([&] {
    for (int turn = 0; turn < 2 && !stop;) {
      const UniqueFd peer(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer) std::this_thread::sleep_for(1ms);
      if (!peer || !wait_for_message(peer.get(), stop)) continue;
      send_message(peer.get(), WelcomeMessage{});
      const auto received = wait_for_message(peer.get(), stop);
      if (!received) continue;
      if (turn++ == 0) {
        send_message(peer.get(), epoch_message<RetiredMessage>(pool->epoch()));
        send_message(peer.get(), epoch_message<NoPoolMessage>(std::string(kEpochDigits, '0'), 1));
        wait_for_message(peer.get(), stop);
        continue;
      }
      const Offer offer(other->epoch(), 1);
      const UniqueFd memory = memory_of(1U << 20, 0);
      CHECK(::pwrite(memory.get(), &offer.header, sizeof(offer.header), 0) > 0);
      CHECK(::fcntl(memory.get(), F_ADD_SEALS, kReadOnly) == 0);
      const UniqueFd lane = memory_of(kPageBytes, kSized);
      send_message(peer.get(), offer.message, {memory.get(), lane.get()});
      wait_for_message(peer.get(), stop);
    }
  });
  // Of two connections, as an attach tries a second time when the first one breaks.
  CHECK(worker.attach_error("rogue", random_epoch(random)) == "BUS_UNREACHABLE");
  stop = true;
  CHECK(worker.last_message.find("not asked for") != std::string::npos);
  CHECK(!worker.unattached(pool->epoch()));
  CHECK(worker.unattached(other->epoch()));
  worker.consumer->attach("ingest-0", other->epoch());
  CHECK(!worker.unattached(other->epoch()));
}

TEST("wild descriptors lease nothing but what is there") {
  Random random = random_for(4);
  const Directory directory;
  const Producer producer(directory);
  const auto pool = producer.pool(4);
  Worker worker(directory);
  worker.consumer->attach("ingest-0", pool->epoch());
  std::map<uint32_t, uint64_t> published;
  uint64_t held = 0;
  const uint64_t count = rounds(300'000);
  for (uint64_t i = 0; i < count; ++i) {
    if (random.one_in(64)) {
      const auto slot = pool->acquire_displacing();
      CHECK(slot);
      published[*slot] = pool->publish(*slot);
    }
    const auto slot = static_cast<uint32_t>(random.one_in(4) ? random.value() : random.below(4));
    uint64_t generation = random.one_in(2) ? random.value() : published[slot & 3];
    if (random.one_in(8)) generation ^= uint64_t{1} << random.below(64);
    const auto found = published.find(slot);
    const bool there = found != published.end() && found->second == generation && generation != 0;
    const auto lease = worker.lease(*pool, slot, generation);
    CHECK((lease != nullptr) == there);
    held += there ? 1 : 0;
    if (there) CHECK(lease->valid() && lease->generation() == generation);
    if (slot >= 4) continue;
    const Delivery delivery = pool->delivery(slot, generation, "infer");
    CHECK((delivery == Delivery::kHeld) == there);
    if (generation == 0) CHECK(pool->end_delivery(slot, 0, "sink") == DeliveryEnd::kGone);
  }
  for (int i = 0; i < 100; ++i) {
    CHECK(worker.refusal(random_epoch(random), 0, 1) == LeaseRefusal::kUnattached);
    CHECK(worker.refusal(std::string(random.below(100), '\xff'), 0, 1) ==
          LeaseRefusal::kUnattached);
  }
  std::printf("# %llu descriptors, %llu good\n", static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(held));
  CHECK(held > count / 10 && held < count);
}

int main(int count, char** values) {
  parse_fuzz_arguments(count, values);
  return framebus::test::run_all();
}
