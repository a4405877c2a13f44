// Descriptors and lanes of any content against one pool. What an honest
// consumer gets, and what the pool says of it, is checked against a model; the
// other consumer's lane says whatever the input says.
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <map>
#include <optional>
#include <variant>

#include "../check.h"
#include "core/bus_layout.h"
#include "core/error.h"
#include "core/frame_pool.h"
#include "core/pool_view.h"
#include "fuzz_input.h"

using namespace framebus;
using namespace framebus::test;

namespace {

constexpr uint32_t kSlots = 4;

std::shared_ptr<FramePool> make_pool() {
  FramePoolOptions options;
  options.stream_id = "fuzz";
  options.format.width = 32;
  options.format.height = 16;
  options.layout = tight_layout(options.format);
  options.slots = kSlots;
  options.capacity = kSlots;
  options.groups = {{"infer", 2}, {"sink", 1}};
  return FramePool::create(options);
}

// What the model knows of a slot.
struct Slot {
  uint64_t generation = 0;
  bool published = false;
  bool closed = false;  // For the honest consumer's group.
  bool had = false;     // It had this generation, and let go.
};

class DescriptorRun {
 public:
  explicit DescriptorRun(FuzzInput& input) : input_(input), pool_(make_pool()) {
    attach();
    open_hostile();
  }
  void run();

 private:
  void attach();
  void open_hostile();
  void spoil();
  void publish();
  void lease();
  void end_delivery();
  void look();
  void routes();
  void start_over();
  uint32_t any_slot() { return static_cast<uint32_t>(input_.value()); }
  uint64_t any_generation(uint32_t slot) {
    if (slot >= kSlots || input_.one_in(3)) return input_.value();
    return slots_[slot].generation;
  }
  bool current(uint32_t slot, uint64_t generation) const {
    return slot < kSlots && slots_[slot].published && slots_[slot].generation == generation;
  }

  FuzzInput& input_;
  const std::shared_ptr<FramePool> pool_;
  std::array<Slot, kSlots> slots_;
  std::shared_ptr<Lane> lane_;
  std::shared_ptr<PoolView> view_;
  std::map<uint32_t, std::shared_ptr<SlotLease>> leases_;  // By slot.
  std::shared_ptr<Lane> hostile_;
};

void DescriptorRun::attach() {
  lane_ = pool_->open_lane({"honest", "infer", 0, 2, 1});
  auto message = epoch_message<PoolMessage>(pool_->epoch(), 1);
  message.slots = kSlots;
  message.group = lane_->group();
  message.hold = lane_->hold();
  message.slot_stride = pool_->slot_stride();
  message.format = pool_->options().format;
  message.layout = pool_->options().layout;
  pool_->memory().describe(message);
  CHECK(is_sane(message));
  std::array<int, 2> ends{};
  CHECK(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  auto link = std::make_shared<LinkState>();
  link->socket.reset(ends[0]);
  ::close(ends[1]);
  link->max_held = kMaxSlots;
  std::array<UniqueFd, 2> fds{UniqueFd(::dup(pool_->fd())), UniqueFd(::dup(lane_->fd()))};
  view_ = PoolView::map(link, message, fds);
}

void DescriptorRun::open_hostile() {
  hostile_ = pool_->open_lane({"hostile", "sink", 0, kMaxSlots, 1});
}

void DescriptorRun::spoil() {
  void* const memory =
      ::mmap(nullptr, lane_bytes(kSlots), PROT_READ | PROT_WRITE, MAP_SHARED, hostile_->fd(), 0);
  CHECK(memory != MAP_FAILED);
  auto* const bytes = static_cast<uint8_t*>(memory);
  const uint32_t slot = any_slot();
  const LaneWord word{any_generation(slot % kSlots), static_cast<LanePhase>(input_.byte() % 5),
                      input_.one_in(2)};
  lane_word(bytes, slot % kSlots) = input_.one_in(4) ? input_.number() : word.pack();
  lane_header(bytes).held = input_.value();
  ::munmap(memory, lane_bytes(kSlots));
}

void DescriptorRun::publish() {
  const auto slot = input_.one_in(2) ? pool_->acquire() : pool_->acquire_displacing();
  if (!slot) return;
  CHECK(*slot < kSlots && !leases_.contains(*slot));
  slots_[*slot].published = false;
  if (input_.one_in(5)) return pool_->discard(*slot);
  std::memset(pool_->slot_data(*slot), static_cast<int>(*slot), 16);
  const uint64_t generation = pool_->publish(*slot);
  CHECK(generation == slots_[*slot].generation + 1);
  slots_[*slot] = {generation, true, false, false};
}

void DescriptorRun::lease() {
  const uint32_t slot = any_slot();
  const uint64_t generation = any_generation(slot);
  const bool mine = leases_.contains(slot);
  const bool there = mine ? leases_[slot]->generation() == generation
                          : current(slot, generation) && !slots_[slot].closed;
  const bool room = mine || leases_.size() < lane_->hold();
  auto result = view_->lease(slot, generation);
  const auto* const lease = std::get_if<std::shared_ptr<SlotLease>>(&result);
  CHECK((lease != nullptr) == (there && room));
  if (lease == nullptr) return;
  CHECK((*lease)->valid() && (*lease)->data()[15] == slot);
  leases_[slot] = *lease;
}

void DescriptorRun::end_delivery() {
  const uint32_t slot = any_slot() % kSlots;
  const uint64_t generation = any_generation(slot);
  pool_->end_delivery(slot, generation, input_.one_in(2) ? "sink" : "tap");
  if (input_.one_in(2)) return;
  const DeliveryEnd end = pool_->end_delivery(slot, generation, "infer");
  if (!current(slot, generation)) {
    CHECK(generation == slots_[slot].generation || end == DeliveryEnd::kGone ||
          generation + 1 == slots_[slot].generation);
    return;
  }
  const bool taken = leases_.contains(slot) || slots_[slot].had;
  CHECK(end == (taken ? DeliveryEnd::kTaken : DeliveryEnd::kClosed));
  slots_[slot].closed = true;
}

void DescriptorRun::look() {
  const uint32_t slot = any_slot() % kSlots;
  const uint64_t generation = any_generation(slot);
  const Delivery delivery = pool_->delivery(slot, generation, "infer");
  for (const auto& [held, lease] : leases_) CHECK(lease->valid());
  if (!current(slot, generation)) return;
  const Delivery expected = leases_.contains(slot) ? Delivery::kHeld
                            : slots_[slot].had     ? Delivery::kReleased
                                                   : Delivery::kNone;
  CHECK(delivery == expected);
}

void DescriptorRun::routes() {
  try {
    if (input_.one_in(2)) {
      pool_->open_group({"tap", 1 + static_cast<uint32_t>(input_.value() % 3)});
    } else {
      pool_->close_group("tap");
    }
  } catch (const Error& error) {
    CHECK(std::string(error.code()) == "BUS_ADMISSION");
  }
}

// The honest consumer is fenced, and attaches again.
void DescriptorRun::start_over() {
  lane_->fence(LaneFence::kRevoked);
  for (const auto& [slot, lease] : leases_) CHECK(!lease->valid());
  for (uint32_t slot = 0; slot < kSlots; ++slot) {
    const auto result = view_->lease(slot, slots_[slot].generation);
    CHECK(std::get<LeaseRefusal>(result) == LeaseRefusal::kUnattached);
  }
  CHECK(pool_->close_lane(lane_).size() <= leases_.size());
  leases_.clear();
  attach();
}

void DescriptorRun::run() {
  while (!input_.empty()) {
    const uint8_t what = input_.byte() % 16;
    if (what < 4) publish();
    if (what >= 4 && what < 8) lease();
    if (what == 8 || what == 9) {
      const auto found = leases_.find(any_slot() % kSlots);
      if (found == leases_.end()) continue;
      slots_[found->first].had = true;
      leases_.erase(found);
    }
    if (what == 10) spoil();
    if (what == 11) end_delivery();
    if (what == 12) look();
    if (what == 13) routes();
    if (what == 14) start_over();
    if (what == 15) {
      pool_->close_lane(hostile_);
      open_hostile();
    }
  }
  leases_.clear();
  pool_->close_lane(hostile_);
  pool_->end_deliveries();
  for (uint32_t i = 0; i < kSlots; ++i) CHECK(pool_->acquire());
}

}  // namespace

int LLVMFuzzerInitialize(int* count, char*** values) {
  make_seeds_if_asked(*count, *values, 64, 400);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  FuzzInput input(data, bytes);
  DescriptorRun(input).run();
  return 0;
}
