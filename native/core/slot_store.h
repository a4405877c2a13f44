// A frame pool as a decoder sees it: which slots the decoder still holds, and
// which may go back to the pool.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "frame_pool.h"

namespace framebus {

class SlotStore;

// Memory that a decoder holds: a slot of the bus, or plain memory where no slot
// was to be had. Dropping the last reference gives the slot back.
class SlotBlock {
 public:
  SlotBlock(std::shared_ptr<SlotStore> store, std::optional<uint32_t> slot, size_t bytes);
  ~SlotBlock();
  SlotBlock(const SlotBlock&) = delete;
  SlotBlock& operator=(const SlotBlock&) = delete;

  uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  std::optional<uint32_t> slot() const { return slot_; }
  const std::shared_ptr<SlotStore>& store() const { return store_; }

 private:
  std::shared_ptr<SlotStore> store_;
  std::optional<uint32_t> slot_;
  size_t bytes_;
  uint8_t* data_;  // Borrowed from the pool, or owned by plain_.
  std::unique_ptr<uint8_t, void (*)(void*)> plain_;
};

// Thread-safe. A slot is free only when the consumers and the decoder have let go.
class SlotStore : public std::enable_shared_from_this<SlotStore> {
 public:
  static std::shared_ptr<SlotStore> create(std::shared_ptr<FramePool> pool);

  const std::shared_ptr<FramePool>& pool() const { return pool_; }

  // One try for a slot; `displace` gives up the oldest frame that nobody leases.
  std::optional<uint32_t> take(bool displace);
  // Memory for the decoder. Without a slot: plain memory of the same layout.
  std::shared_ptr<SlotBlock> block(std::optional<uint32_t> slot);
  // Whether the decoder holds so many slots that one more could leave none for
  // frames that are copied: then waiting for a slot could last for ever.
  bool decoder_is_full() const;
  // Whether the slot is being written, so that it can be published as it is.
  bool writing(uint32_t slot) const;
  // WRITING -> PUBLISHED. Returns the generation.
  uint64_t publish(uint32_t slot);
  // Gives a taken slot back unwritten.
  void discard(uint32_t slot);

 private:
  enum class State { kIdle, kWriting, kPublished, kReclaiming };
  struct Slot {
    State state = State::kIdle;
    bool held = false;  // By the decoder.
  };
  friend class SlotBlock;

  explicit SlotStore(std::shared_ptr<FramePool> pool);
  void let_go(uint32_t slot);
  void reclaimed(uint32_t slot);

  const std::shared_ptr<FramePool> pool_;
  mutable std::mutex mutex_;  // Taken before the pool's.
  std::vector<Slot> slots_;
  uint32_t held_ = 0;
};

}  // namespace framebus
