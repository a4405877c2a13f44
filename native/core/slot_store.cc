#include "slot_store.h"

#include <cstdlib>
#include <new>
#include <utility>

namespace framebus {

namespace {
constexpr size_t kPlainAlign = 64;

uint8_t* allocate_plain(size_t bytes) {
  void* data =
      std::aligned_alloc(kPlainAlign, (bytes + kPlainAlign - 1) / kPlainAlign * kPlainAlign);
  if (data == nullptr) throw std::bad_alloc();
  return static_cast<uint8_t*>(data);
}
}  // namespace

SlotBlock::SlotBlock(std::shared_ptr<SlotStore> store, std::optional<uint32_t> slot, size_t bytes)
    : store_(std::move(store)),
      slot_(slot),
      bytes_(bytes),
      data_(slot ? store_->pool()->slot_data(*slot) : allocate_plain(bytes)),
      plain_(slot ? nullptr : data_, &std::free) {}

SlotBlock::~SlotBlock() {
  if (slot_) store_->let_go(*slot_);
}

SlotStore::SlotStore(std::shared_ptr<FramePool> pool)
    : pool_(std::move(pool)), slots_(pool_->options().slots) {}

std::shared_ptr<SlotStore> SlotStore::create(std::shared_ptr<FramePool> pool) {
  std::shared_ptr<SlotStore> store(new SlotStore(std::move(pool)));
  // The pool outlives the store when consumers still read; then nobody decodes into it.
  store->pool_->set_reclaim_hook(
      [weak = store->weak_from_this(), pool = store->pool_.get()](uint32_t slot) {
        if (const std::shared_ptr<SlotStore> self = weak.lock()) {
          self->reclaimed(slot);
        } else {
          pool->finish_reclaim(slot);
        }
      });
  return store;
}

std::optional<uint32_t> SlotStore::take(bool displace) {
  std::optional<uint32_t> slot = pool_->acquire();
  if (!slot && displace) slot = pool_->acquire_displacing();
  if (slot) {
    const std::lock_guard lock(mutex_);
    slots_[*slot].state = State::kWriting;
  }
  return slot;
}

std::shared_ptr<SlotBlock> SlotStore::block(std::optional<uint32_t> slot) {
  auto block = std::make_shared<SlotBlock>(shared_from_this(), slot,
                                           size_t{pool_->options().layout.slot_bytes});
  if (slot) {
    const std::lock_guard lock(mutex_);
    slots_[*slot].held = true;
    ++held_;
    pool_->set_kept(*slot, true);
  }
  return block;
}

bool SlotStore::decoder_is_full() const {
  const std::lock_guard lock(mutex_);
  return held_ + 1 >= slots_.size();
}

bool SlotStore::writing(uint32_t slot) const {
  const std::lock_guard lock(mutex_);
  return slots_[slot].state == State::kWriting;
}

uint64_t SlotStore::publish(uint32_t slot) {
  {
    const std::lock_guard lock(mutex_);
    slots_[slot].state = State::kPublished;
  }
  return pool_->publish(slot);
}

void SlotStore::discard(uint32_t slot) {
  {
    const std::lock_guard lock(mutex_);
    slots_[slot].state = State::kIdle;
  }
  pool_->discard(slot);
}

void SlotStore::let_go(uint32_t slot) {
  State was;
  {
    const std::lock_guard lock(mutex_);
    was = slots_[slot].state;
    slots_[slot].held = false;
    --held_;
    if (was != State::kPublished) slots_[slot].state = State::kIdle;
    pool_->set_kept(slot, false);
  }
  if (was == State::kWriting) pool_->discard(slot);
  if (was == State::kReclaiming) pool_->finish_reclaim(slot);
}

void SlotStore::reclaimed(uint32_t slot) {
  {
    const std::lock_guard lock(mutex_);
    if (slots_[slot].held) {
      slots_[slot].state = State::kReclaiming;
      return;
    }
    slots_[slot].state = State::kIdle;
  }
  pool_->finish_reclaim(slot);
}

}  // namespace framebus
