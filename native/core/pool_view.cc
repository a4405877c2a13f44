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

FrameView SlotLease::view() const {
  FrameView view;
  view.format = format();
  for (uint32_t p = 0; p < plane_count(view.format.pixel_format); ++p) {
    view.data[p] = data() + layout().offset[p];
    view.stride[p] = layout().stride[p];
  }
  return view;
}

bool SlotLease::valid() const { return still_holds(pool_->slot_word(slot_), generation_); }
const std::string& SlotLease::epoch() const { return pool_->epoch_; }
const FrameFormat& SlotLease::format() const { return pool_->description_.format; }
const PlaneLayout& SlotLease::layout() const { return pool_->description_.layout; }
const uint8_t* SlotLease::data() const {
  return pool_->memory_.data() + pool_data_offset(pool_->description_.slots) +
         slot_ * pool_->description_.slot_stride;
}

std::shared_ptr<PoolView> PoolView::map(std::shared_ptr<LinkState> link, const PoolMessage& message,
                                        const UniqueFd& memory, const UniqueFd& lane) {
  Mapping pixels = map_memfd(memory.get(), pool_bytes(message.slots, message.slot_stride),
                             Writers::kCreatorOnly);
  PoolHeader header;
  std::memcpy(&header, pixels.data(), sizeof(header));
  if (header.magic != kPoolMagic || header.version != kPoolVersion ||
      header.slots != message.slots || header.slot_stride != message.slot_stride ||
      header.data_offset != pool_data_offset(message.slots) ||
      std::memcmp(header.epoch, message.epoch.data(), kEpochDigits) != 0) {
    throw Error("BUS_MEMORY", "memory from the producer is not the pool that it says");
  }
  Mapping leases = map_memfd(lane.get(), lane_bytes(message.slots), Writers::kAnyHolder);
  return std::make_shared<PoolView>(std::move(link), message, std::move(pixels), std::move(leases));
}

PoolView::PoolView(std::shared_ptr<LinkState> link, const PoolMessage& message, Mapping memory,
                   Mapping lane)
    : link_(std::move(link)),
      epoch_(message.epoch.data(), message.epoch.size()),
      description_(message),
      memory_(std::move(memory)),
      lane_(std::move(lane)),
      local_(message.slots) {}

PoolView::~PoolView() {
  // Best effort: a producer that is gone, or that does not read, needs no word.
  send_message(link_->socket.get(), epoch_message<DropMessage>(epoch_, description_.ticket));
}

const std::atomic<uint64_t>& PoolView::slot_word(uint32_t slot) const {
  return reinterpret_cast<const SlotLine*>(memory_.data() + kPageBytes)[slot].word;
}

std::atomic<uint64_t>& PoolView::lane_word(uint32_t slot) const {
  return reinterpret_cast<std::atomic<uint64_t>*>(lane_.data())[slot];
}

std::variant<std::shared_ptr<SlotLease>, LeaseRefusal> PoolView::lease(uint32_t slot,
                                                                       uint64_t generation) {
  if (slot >= description_.slots) return LeaseRefusal::kStale;
  const std::lock_guard lock(mutex_);
  Local& local = local_[slot];
  if (local.leases > 0 && local.generation != generation) return LeaseRefusal::kStale;
  if (link_->held.fetch_add(1) >= link_->max_held) {
    --link_->held;
    return LeaseRefusal::kQuota;
  }
  if (local.leases == 0 &&
      take(slot_word(slot), lane_word(slot), generation, description_.group) == Take::kStale) {
    --link_->held;
    return LeaseRefusal::kStale;
  }
  local.generation = generation;
  ++local.leases;
  return std::make_shared<SlotLease>(shared_from_this(), slot, generation);
}

void PoolView::end(uint32_t slot) {
  const std::lock_guard lock(mutex_);
  Local& local = local_[slot];
  --local.leases;
  --link_->held;
  if (local.leases == 0) let_go(lane_word(slot), local.generation);
}

}  // namespace framebus
