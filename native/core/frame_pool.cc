#include "frame_pool.h"

#include <sys/random.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <deque>
#include <mutex>

#include "bus_layout.h"
#include "error.h"
#include "slot_protocol.h"

namespace framebus {
namespace {

constexpr uint64_t kMaxSlotBytes = uint64_t{1} << 30;

[[noreturn]] void bad(const FramePoolOptions& options, const std::string& why) {
  throw Error("BAD_OPTIONS", "frame pool of stream '" + options.stream_id + "': " + why);
}

void check(const FramePoolOptions& options) {
  const PlaneLayout& layout = options.layout;
  if (options.slots == 0 || options.slots > kMaxSlots) {
    bad(options, std::to_string(options.slots) + " slots; 1 to " + std::to_string(kMaxSlots));
  }
  if (options.groups.size() > kMaxGroups) bad(options, "more than 8 consumer groups");
  for (const RouteGroup& group : options.groups) {
    if (std::count_if(options.groups.begin(), options.groups.end(),
                      [&](const RouteGroup& other) { return other.name == group.name; }) > 1) {
      bad(options, "consumer group '" + group.name + "' is named twice");
    }
  }
  if (options.format.width == 0 || options.format.height == 0) bad(options, "empty picture");
  if (options.memory == MemoryKind::kDmabuf && options.slots > kMaxDmabufSlots) {
    bad(options, std::to_string(options.slots) + " slots of dmabuf memory; at most " +
                     std::to_string(kMaxDmabufSlots));
  }
  if (layout.slot_bytes > kMaxSlotBytes || !layout_fits(options.format, layout)) {
    bad(options, "planes do not fit their slot");
  }
}

std::string random_epoch() {
  std::array<unsigned char, kEpochDigits / 2> bytes{};
  size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got = ::getrandom(bytes.data() + filled, bytes.size() - filled, 0);
    if (got > 0) filled += static_cast<size_t>(got);
  }
  constexpr char kDigits[] = "0123456789abcdef";
  std::string epoch;
  for (const unsigned char byte : bytes) {
    epoch += kDigits[byte >> 4];
    epoch += kDigits[byte & 15];
  }
  return epoch;
}

uint64_t next_created_unix_ns() {
  static std::atomic<uint64_t> last{0};
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  const auto now =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
  uint64_t before = last.load();
  uint64_t created = 0;
  do {
    created = std::max(now, before + 1);
  } while (!last.compare_exchange_weak(before, created));
  return created;
}

class SharedFramePool final : public FramePool {
 public:
  explicit SharedFramePool(const FramePoolOptions& options)
      : options_(options),
        epoch_(random_epoch()),
        created_unix_ns_(next_created_unix_ns()),
        stride_(round_up(options.layout.slot_bytes, kPageBytes)),
        control_(create_memfd("framebus-pool-" + options.stream_id,
                              options.memory == MemoryKind::kShm
                                  ? pool_bytes(options.slots, stride_)
                                  : control_bytes(options.slots),
                              Writers::kCreatorOnly)),
        memory_(pixels()),
        lines_(reinterpret_cast<SlotLine*>(control_.mapping.data() + kPageBytes)),
        taken_(options.slots, 0),
        left_(options.slots) {
    PoolHeader header{};
    header.magic = kPoolMagic;
    header.version = kPoolVersion;
    header.slots = options.slots;
    header.slot_stride = stride_;
    header.data_offset = options.memory == MemoryKind::kShm ? pool_data_offset(options.slots) : 0;
    std::memcpy(header.epoch, epoch_.data(), kEpochDigits);
    std::memcpy(control_.mapping.data(), &header, sizeof(header));
    // Handed out from the back: slot 0 first, then the one used last (warm caches).
    for (uint32_t slot = options.slots; slot > 0; --slot) free_.push_back(slot - 1);
  }

  const std::string& epoch() const override { return epoch_; }
  uint64_t created_unix_ns() const override { return created_unix_ns_; }
  const FramePoolOptions& options() const override { return options_; }
  int fd() const override { return control_.fd.get(); }
  PoolMemory& memory() const override { return *memory_; }
  size_t slot_stride() const override { return stride_; }

  uint8_t* slot_data(uint32_t slot) override {
    check_slot(slot);
    return memory_->host(slot);
  }

  std::optional<uint32_t> acquire() override { return acquire_slot(false); }
  std::optional<uint32_t> acquire_displacing() override { return acquire_slot(true); }
  uint64_t publish(uint32_t slot) override;
  void discard(uint32_t slot) override { free_from(slot, SlotState::kWriting); }
  void finish_reclaim(uint32_t slot) override { free_from(slot, SlotState::kRetained); }

  void set_reclaim_hook(std::function<void(uint32_t)> hook) override {
    const std::lock_guard lock(mutex_);
    reclaim_hook_ = std::move(hook);
  }
  void set_displaced_hook(std::function<void(HeldSlot)> hook) override {
    const std::lock_guard lock(mutex_);
    displaced_hook_ = std::move(hook);
  }

  DeliveryEnd end_delivery(uint32_t slot, uint64_t generation, const std::string& group) override;
  Delivery delivery(uint32_t slot, uint64_t generation, const std::string& group) const override;
  SlotCounts counts() const override;
  void end_deliveries() override;
  void retire() override {
    const std::lock_guard lock(mutex_);
    retired_ = true;
  }
  bool drained() const override;

  std::shared_ptr<const Lane> open_lane(const std::string& group) override;
  std::vector<HeldSlot> close_lane(const std::shared_ptr<const Lane>& lane) override;

 private:
  void check_slot(uint32_t slot) const {
    if (slot >= options_.slots) {
      throw Error("BAD_OPTIONS", "frame pool of stream '" + options_.stream_id + "': no slot " +
                                     std::to_string(slot));
    }
  }
  std::atomic<uint64_t>& word_of(uint32_t slot) const { return lines_[slot].word; }
  SlotWord load(uint32_t slot) const {
    return SlotWord::unpack(word_of(slot).load(std::memory_order_relaxed));
  }
  void store(uint32_t slot, SlotWord word) {
    word_of(slot).store(word.pack(), std::memory_order_seq_cst);
  }
  std::unique_ptr<PoolMemory> pixels() const {
    if (options_.memory != MemoryKind::kShm) {
      return create_pool_memory({options_.memory, options_.stream_id, options_.slots, stride_});
    }
    return shm_pool_memory(control_.mapping.data() + pool_data_offset(options_.slots), stride_);
  }
  uint32_t find_group(const std::string& group) const;
  uint32_t group_index(const std::string& group) const;
  LaneScan scan_group(uint32_t slot, uint64_t generation, uint32_t group) const;
  LaneScan scan_all(uint32_t slot, uint64_t generation) const;
  bool settled(uint32_t slot) const;
  std::optional<uint32_t> acquire_slot(bool displace);
  std::optional<uint32_t> reclaim_oldest(bool displace);
  bool reclaim(uint32_t slot, SlotState next);
  void free_from(uint32_t slot, SlotState expected);

  // How the deliveries of a slot's last reclaimed generation ended: when a
  // newer frame displaces it, its owner must still learn who has had it.
  struct Left {
    uint64_t generation = 0;
    uint8_t taken = 0;  // By group.
  };

  const FramePoolOptions options_;
  const std::string epoch_;
  const uint64_t created_unix_ns_;
  const size_t stride_;
  Memfd control_;
  const std::unique_ptr<PoolMemory> memory_;
  SlotLine* const lines_;  // Borrowed from control_.

  mutable std::mutex mutex_;  // Everything below, and every write of a slot word.
  std::vector<std::shared_ptr<const Lane>> lanes_;
  std::vector<uint32_t> free_;
  std::deque<uint32_t> published_;  // Oldest first.
  std::vector<uint8_t> taken_;      // Groups whose consumer had the generation, let go and left.
  std::vector<Left> left_;
  std::function<void(uint32_t)> reclaim_hook_;
  std::function<void(HeldSlot)> displaced_hook_;
  bool retired_ = false;
};

// kNoGroup when the group is not on the route.
uint32_t SharedFramePool::find_group(const std::string& group) const {
  const auto found = std::find_if(options_.groups.begin(), options_.groups.end(),
                                  [&](const RouteGroup& each) { return each.name == group; });
  if (found == options_.groups.end()) return kNoGroup;
  return static_cast<uint32_t>(found - options_.groups.begin());
}

uint32_t SharedFramePool::group_index(const std::string& group) const {
  const uint32_t index = find_group(group);
  if (index == kNoGroup) bad(options_, "no consumer group '" + group + "' on its route");
  return index;
}

LaneScan SharedFramePool::scan_group(uint32_t slot, uint64_t generation, uint32_t group) const {
  LaneScan scan;
  scan.released = (taken_[slot] >> group & 1) != 0;
  for (const auto& lane : lanes_) {
    if (lane->group() == group) scan.add(lane->word(slot), generation);
  }
  return scan;
}

LaneScan SharedFramePool::scan_all(uint32_t slot, uint64_t generation) const {
  LaneScan scan;
  for (const auto& lane : lanes_) scan.add(lane->word(slot), generation);
  return scan;
}

// Whether every delivery of a published slot has ended and nobody leases it.
bool SharedFramePool::settled(uint32_t slot) const {
  const SlotWord word = load(slot);
  if (scan_all(slot, word.generation).leased()) return false;
  for (uint32_t group = 0; group < options_.groups.size(); ++group) {
    const bool closed = (word.closed >> group & 1) != 0;
    if (!closed && !scan_group(slot, word.generation, group).released) return false;
  }
  return true;
}

bool SharedFramePool::reclaim(uint32_t slot, SlotState next) {
  if (!try_reclaim(word_of(slot), next,
                   [&](uint64_t generation) { return scan_all(slot, generation); })) {
    return false;
  }
  // Nobody can lease it from here on.
  Left left{load(slot).generation};
  for (uint32_t group = 0; group < options_.groups.size(); ++group) {
    if (!scan_group(slot, left.generation, group).released) continue;
    left.taken = static_cast<uint8_t>(left.taken | 1U << group);
  }
  left_[slot] = left;
  return true;
}

// Takes the oldest slot that can be had out of PUBLISHED: into FREE, or into
// RETAINED when a hook has to be asked.
std::optional<uint32_t> SharedFramePool::reclaim_oldest(bool displace) {
  const SlotState next = reclaim_hook_ ? SlotState::kRetained : SlotState::kFree;
  for (auto it = published_.begin(); it != published_.end(); ++it) {
    const uint32_t slot = *it;
    if (!displace && !settled(slot)) continue;
    if (!reclaim(slot, next)) continue;
    published_.erase(it);
    if (next == SlotState::kFree) free_.push_back(slot);
    return slot;
  }
  return std::nullopt;
}

std::optional<uint32_t> SharedFramePool::acquire_slot(bool displace) {
  bool displacing = false;  // Only after nothing was to be had without a loss.
  std::unique_lock lock(mutex_);
  while (!retired_) {
    if (!free_.empty()) {
      const uint32_t slot = free_.back();
      free_.pop_back();
      SlotWord word = load(slot);
      word.state = SlotState::kWriting;
      store(slot, word);
      return slot;
    }
    if (displacing) break;  // At most one frame is lost for one acquired.
    std::optional<uint32_t> slot = reclaim_oldest(false);
    if (!slot && displace) {
      displacing = true;
      slot = reclaim_oldest(true);
    }
    if (!slot) break;
    const HeldSlot left{*slot, load(*slot).generation};
    const auto on_reclaimed = reclaim_hook_;
    const auto on_displaced = displacing ? displaced_hook_ : nullptr;
    lock.unlock();
    if (on_displaced) on_displaced(left);
    if (on_reclaimed) on_reclaimed(*slot);
    lock.lock();
  }
  return std::nullopt;
}

uint64_t SharedFramePool::publish(uint32_t slot) {
  check_slot(slot);
  const std::lock_guard lock(mutex_);
  SlotWord word = load(slot);
  if (word.state != SlotState::kWriting) bad(options_, "publish of a slot that is not written");
  word = {word.generation + 1, 0, SlotState::kPublished};
  taken_[slot] = 0;
  published_.push_back(slot);
  store(slot, word);
  return word.generation;
}

void SharedFramePool::free_from(uint32_t slot, SlotState expected) {
  check_slot(slot);
  const std::lock_guard lock(mutex_);
  SlotWord word = load(slot);
  if (word.state != expected) return;
  word.state = SlotState::kFree;
  store(slot, word);
  free_.push_back(slot);
}

DeliveryEnd SharedFramePool::end_delivery(uint32_t slot, uint64_t generation,
                                          const std::string& group) {
  check_slot(slot);
  const uint32_t index = group_index(group);
  const std::lock_guard lock(mutex_);
  SlotWord word = load(slot);
  if (word.generation != generation || word.state != SlotState::kPublished) {
    if (generation == 0 || left_[slot].generation != generation) return DeliveryEnd::kGone;
    const bool taken = (left_[slot].taken >> index & 1) != 0;
    return taken ? DeliveryEnd::kTaken : DeliveryEnd::kClosed;
  }
  // Dekker again: the bit, then the lanes; a consumer writes its lane, then
  // reads the bit. It stays set whatever the scan finds.
  word.closed = static_cast<uint8_t>(word.closed | 1U << index);
  store(slot, word);
  const LaneScan scan = scan_group(slot, generation, index);
  if (scan.held || scan.released) return DeliveryEnd::kTaken;
  return scan.tentative ? DeliveryEnd::kUndecided : DeliveryEnd::kClosed;
}

Delivery SharedFramePool::delivery(uint32_t slot, uint64_t generation,
                                   const std::string& group) const {
  check_slot(slot);
  const uint32_t index = group_index(group);
  const std::lock_guard lock(mutex_);
  const SlotWord word = load(slot);
  if (word.generation != generation || word.state != SlotState::kPublished) {
    const Left& left = left_[slot];
    const bool taken = left.generation == generation && (left.taken >> index & 1) != 0;
    return taken ? Delivery::kReleased : Delivery::kGone;
  }
  const LaneScan scan = scan_group(slot, generation, index);
  if (scan.held) return Delivery::kHeld;
  return scan.released ? Delivery::kReleased : Delivery::kNone;
}

SlotCounts SharedFramePool::counts() const {
  const std::lock_guard lock(mutex_);
  SlotCounts counts;
  counts.free = static_cast<uint32_t>(free_.size());
  counts.published = static_cast<uint32_t>(published_.size());
  counts.writing = options_.slots - counts.free - counts.published;
  return counts;
}

void SharedFramePool::end_deliveries() {
  const std::lock_guard lock(mutex_);
  for (const uint32_t slot : published_) {
    SlotWord word = load(slot);
    word.closed = static_cast<uint8_t>((1U << options_.groups.size()) - 1);
    store(slot, word);
  }
}

bool SharedFramePool::drained() const {
  const std::lock_guard lock(mutex_);
  return retired_ && std::all_of(published_.begin(), published_.end(),
                                 [this](uint32_t slot) { return settled(slot); });
}

std::shared_ptr<const Lane> SharedFramePool::open_lane(const std::string& group) {
  auto lane =
      std::make_shared<const Lane>(create_memfd("framebus-lane-" + options_.stream_id,
                                                lane_bytes(options_.slots), Writers::kAnyHolder),
                                   find_group(group));
  const std::lock_guard lock(mutex_);
  lanes_.push_back(lane);
  return lane;
}

std::vector<HeldSlot> SharedFramePool::close_lane(const std::shared_ptr<const Lane>& lane) {
  std::vector<HeldSlot> held;
  const std::lock_guard lock(mutex_);
  if (std::erase(lanes_, lane) == 0) return held;
  for (const uint32_t slot : published_) {
    const uint64_t generation = load(slot).generation;
    LaneScan scan;
    scan.add(lane->word(slot), generation);
    // What it had before and let go of is not lost by its second lease.
    if (scan.held && !scan.released) held.push_back({slot, generation});
    if (scan.released && lane->group() < kMaxGroups) {
      taken_[slot] = static_cast<uint8_t>(taken_[slot] | 1U << lane->group());
    }
  }
  return held;
}

}  // namespace

std::shared_ptr<FramePool> FramePool::create(const FramePoolOptions& options) {
  check(options);
  return std::make_shared<SharedFramePool>(options);
}

}  // namespace framebus
