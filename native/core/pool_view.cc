#include "pool_view.h"

#include <cstring>
#include <utility>

#include "bus_socket.h"
#include "error.h"
#include "slot_protocol.h"

namespace framebus {

SlotLease::SlotLease(std::shared_ptr<PoolView> pool, uint32_t slot, uint64_t generation)
    : pool_(std::move(pool)), slot_(slot), generation_(generation) {}

SlotLease::~SlotLease() { pool_->end(slot_); }

FrameRead SlotLease::read() const {
  const PoolMapping& pixels = *pool_->pixels_;
  if (const uint8_t* const data = pixels.host(slot_)) {
    if (memory() == MemoryKind::kShm) return FrameRead(view_of(format(), layout(), data));
    pixels.begin_read(slot_);
    std::shared_ptr<void> access(
        nullptr, [pool = pool_, slot = slot_](void*) { pool->pixels_->end_read(slot); });
    return {view_of(format(), layout(), data), std::move(access)};
  }
  const std::shared_ptr<const uint8_t> copy = pixels.copy(slot_, layout().slot_bytes);
  return {view_of(format(), layout(), copy.get()), std::const_pointer_cast<uint8_t>(copy)};
}

FrameView SlotLease::device() const {
  const uint64_t address = pool_->pixels_->device(slot_);
  if (address == 0) return {};
  return view_of(format(), layout(), reinterpret_cast<const uint8_t*>(address));
}

bool SlotLease::valid() const {
  return still_holds(pool_->slot_word(slot_), pool_->header().fence, generation_);
}
const std::string& SlotLease::epoch() const { return pool_->epoch_; }
const FrameFormat& SlotLease::format() const { return pool_->description_.format; }
const PlaneLayout& SlotLease::layout() const { return pool_->description_.layout; }
MemoryKind SlotLease::memory() const { return pool_->description_.memory; }
const uint8_t* SlotLease::data() const { return pool_->pixels_->host(slot_); }

std::shared_ptr<PoolView> PoolView::map(std::shared_ptr<LinkState> link, const PoolMessage& message,
                                        std::span<const UniqueFd> fds) {
  const bool shm = message.memory == MemoryKind::kShm;
  const size_t bytes =
      shm ? pool_bytes(message.slots, message.slot_stride) : control_bytes(message.slots);
  Mapping control = map_memfd(fds[0].get(), bytes, Writers::kCreatorOnly);
  PoolHeader header;
  std::memcpy(&header, control.data(), sizeof(header));
  const uint64_t data_offset = shm ? pool_data_offset(message.slots) : 0;
  if (header.magic != kPoolMagic || header.version != kPoolVersion ||
      header.slots != message.slots || header.slot_stride != message.slot_stride ||
      header.data_offset != data_offset ||
      std::memcmp(header.epoch, message.epoch.data(), kEpochDigits) != 0) {
    throw Error("BUS_MEMORY", "memory from the producer is not the pool that it says");
  }
  Mapping lane = map_memfd(fds[1].get(), lane_bytes(message.slots), Writers::kAnyHolder);
  std::unique_ptr<PoolMapping> pixels =
      shm ? shm_pool_mapping(control.data() + data_offset, message.slot_stride)
          : map_pool(message, fds.subspan(2));
  return std::make_shared<PoolView>(std::move(link), message, std::move(control), std::move(lane),
                                    std::move(pixels));
}

PoolView::PoolView(std::shared_ptr<LinkState> link, const PoolMessage& message, Mapping control,
                   Mapping lane, std::unique_ptr<PoolMapping> pixels)
    : link_(std::move(link)),
      epoch_(message.epoch.data(), message.epoch.size()),
      description_(message),
      control_(std::move(control)),
      lane_(std::move(lane)),
      pixels_(std::move(pixels)),
      local_(message.slots) {}

PoolView::~PoolView() {
  // Best effort: a producer that is gone, or that does not read, needs no word.
  send_message(link_->socket.get(), epoch_message<DropMessage>(epoch_, description_.ticket));
}

const std::atomic<uint64_t>& PoolView::slot_word(uint32_t slot) const {
  return reinterpret_cast<const SlotLine*>(control_.data() + kPageBytes)[slot].word;
}

namespace {

// One writer at a time: no need for a locked instruction.
void count(std::atomic<uint64_t>& counter, uint64_t more = 1) {
  counter.store(counter.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

}  // namespace

std::variant<std::shared_ptr<SlotLease>, LeaseRefusal> PoolView::lease(uint32_t slot,
                                                                       uint64_t generation) {
  const std::lock_guard lock(mutex_);
  const std::optional<LeaseRefusal> refusal = take_slot(slot, generation);
  if (!refusal) return std::make_shared<SlotLease>(shared_from_this(), slot, generation);
  if (*refusal == LeaseRefusal::kStale) count(header().stale);
  if (*refusal == LeaseRefusal::kQuota) count(header().quota);
  return *refusal;
}

std::optional<LeaseRefusal> PoolView::take_slot(uint32_t slot, uint64_t generation) {
  if (fence() != LaneFence::kNone) return LeaseRefusal::kUnattached;
  if (slot >= description_.slots) return LeaseRefusal::kStale;
  Local& local = local_[slot];
  const bool first = local.leases == 0;
  if (!first && local.generation != generation) return LeaseRefusal::kStale;
  if (first && held_ >= description_.hold) return LeaseRefusal::kQuota;
  if (link_->held.fetch_add(1) >= link_->max_held) {
    --link_->held;
    return LeaseRefusal::kQuota;
  }
  if (first) {
    const Take taken =
        take(slot_word(slot), word(slot), header().fence, generation, description_.group);
    if (taken != Take::kHeld) {
      --link_->held;
      return taken == Take::kFenced ? LeaseRefusal::kUnattached : LeaseRefusal::kStale;
    }
    ++held_;
    count(header().delivered);
    header().held.store(held_, std::memory_order_relaxed);
    if (held_ > header().held_most.load(std::memory_order_relaxed)) {
      header().held_most.store(held_, std::memory_order_relaxed);
    }
  }
  local.generation = generation;
  ++local.leases;
  return std::nullopt;
}

void PoolView::count_displaced(uint32_t frames) {
  const std::lock_guard lock(mutex_);
  count(header().displaced, frames);
}

void PoolView::end(uint32_t slot) {
  const std::lock_guard lock(mutex_);
  Local& local = local_[slot];
  --local.leases;
  --link_->held;
  if (local.leases > 0) return;
  let_go(word(slot), header().fence, local.generation);
  --held_;
  header().held.store(held_, std::memory_order_relaxed);
}

}  // namespace framebus
