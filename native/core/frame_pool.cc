#include "frame_pool.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <mutex>
#include <utility>

#include "admission.h"
#include "bus_layout.h"
#include "epoch.h"
#include "error.h"
#include "slot_protocol.h"

namespace framebus {
namespace {

// Groups as bits, as in slot words.
constexpr uint8_t bit_of(uint32_t group) { return static_cast<uint8_t>(1U << group); }
constexpr bool has(uint8_t bits, uint32_t group) { return (bits >> group & 1) != 0; }
constexpr uint8_t with(uint8_t bits, uint32_t group) {
  return static_cast<uint8_t>(bits | bit_of(group));
}
constexpr uint8_t without(uint8_t bits, uint32_t group) {
  return static_cast<uint8_t>(bits & ~bit_of(group));
}
constexpr uint8_t kAllGroups = 0xff;

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
        route_(options.groups),
        facts_(options.slots) {
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

  void set_kept(uint32_t slot, bool kept) override {
    const std::lock_guard lock(mutex_);
    facts_[slot].kept = kept;
  }

  void open_group(const RouteGroup& group) override;
  void close_group(const std::string& group) override;
  DeliveryEnd end_delivery(uint32_t slot, uint64_t generation, const std::string& group) override;
  Delivery delivery(uint32_t slot, uint64_t generation, const std::string& group) const override;
  SlotCounts counts() const override {
    const std::lock_guard lock(mutex_);
    return slot_counts();
  }
  PoolState state() const override;
  void end_deliveries() override;
  void retire() override {
    const std::lock_guard lock(mutex_);
    retired_ = true;
  }
  bool drained() const override;

  std::shared_ptr<Lane> open_lane(const LaneRequest& request) override;
  void leased(const Lane& lane, std::vector<HeldSlot>& slots) const override;
  std::vector<HeldSlot> close_lane(const std::shared_ptr<Lane>& lane) override;

 private:
  void check_slot(uint32_t slot) const {
    if (slot >= options_.slots) {
      bad_pool(options_.stream_id, "no slot " + std::to_string(slot));
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
  // How a generation stands with everybody: whether anybody leases it, and
  // which groups have had it.
  struct Standing {
    bool leased = false;
    uint8_t taken = 0;
  };
  Standing standing(uint32_t slot, uint64_t generation) const;
  LaneScan scan_group(uint32_t slot, uint64_t generation, uint32_t group) const;
  bool settled(uint32_t slot) const;
  std::optional<uint32_t> acquire_slot(bool displace);
  std::optional<uint32_t> reclaim_oldest(bool displace);
  bool reclaim(uint32_t slot, SlotState next);
  void free_from(uint32_t slot, SlotState expected);
  void forget_group(uint32_t group);
  bool has_lanes(uint32_t group) const;
  Admission admission() const;
  SlotCounts slot_counts() const;
  std::vector<GroupState> group_states() const;

  // What is known of a slot beyond its word; groups as bits.
  struct Facts {
    uint8_t expected = 0;  // Groups that the generation was published for.
    uint8_t taken = 0;     // Groups whose consumer had it, let go and left.
    bool kept = false;     // By a decoder.
    // How the deliveries of the last reclaimed generation ended: when a newer
    // frame displaces it, its owner must still learn who has had it.
    uint64_t left_generation = 0;
    uint8_t left_taken = 0;
  };

  const FramePoolOptions options_;
  const std::string epoch_;
  const uint64_t created_unix_ns_;
  const size_t stride_;
  Memfd control_;
  const std::unique_ptr<PoolMemory> memory_;
  SlotLine* const lines_;  // Borrowed from control_.

  mutable std::mutex mutex_;  // Everything below, and every write of a slot word.
  std::vector<std::shared_ptr<Lane>> lanes_;
  std::vector<uint32_t> free_;
  std::deque<uint32_t> published_;  // Oldest first.
  Route route_;
  std::vector<Facts> facts_;  // By slot.
  uint64_t frames_published_ = 0;
  uint64_t frames_displaced_ = 0;
  std::function<void(uint32_t)> reclaim_hook_;
  std::function<void(HeldSlot)> displaced_hook_;
  bool retired_ = false;
};

SharedFramePool::Standing SharedFramePool::standing(uint32_t slot, uint64_t generation) const {
  Standing result{.taken = facts_[slot].taken};
  for (const auto& lane : lanes_) {
    LaneScan scan;
    scan.add(lane->word(slot), generation);
    result.leased |= scan.leased();
    if (scan.released && lane->group() < kMaxGroups) {
      result.taken = with(result.taken, lane->group());
    }
  }
  return result;
}

LaneScan SharedFramePool::scan_group(uint32_t slot, uint64_t generation, uint32_t group) const {
  LaneScan scan;
  scan.released = has(facts_[slot].taken, group);
  for (const auto& lane : lanes_) {
    if (lane->group() == group) scan.add(lane->word(slot), generation);
  }
  return scan;
}

// Whether every delivery of a published slot has ended and nobody leases it.
bool SharedFramePool::settled(uint32_t slot) const {
  const SlotWord word = load(slot);
  const Standing now = standing(slot, word.generation);
  return !now.leased && (word.closed | now.taken) == kAllGroups;
}

bool SharedFramePool::reclaim(uint32_t slot, SlotState next) {
  Standing last;
  if (!try_reclaim(word_of(slot), next, [&](uint64_t generation) {
        last = standing(slot, generation);
        return last.leased;
      })) {
    return false;
  }
  // Nobody can lease it from here on, so what the scan saw is final.
  Facts& facts = facts_[slot];
  facts.left_generation = load(slot).generation;
  facts.left_taken = last.taken;
  for (uint32_t group = 0; group < kMaxGroups; ++group) {
    if (!has(facts.expected, group)) continue;
    Route::Place& place = route_.at(group);
    ++(has(last.taken, group) ? place.delivered : place.missed);
  }
  facts.expected = 0;
  return true;
}

// Takes the oldest slot that can be had out of PUBLISHED: into FREE, or into
// RETAINED when a hook has to be asked.
std::optional<uint32_t> SharedFramePool::reclaim_oldest(bool displace) {
  const SlotState next = reclaim_hook_ ? SlotState::kRetained : SlotState::kFree;
  for (auto it = published_.begin(); it != published_.end(); ++it) {
    const uint32_t slot = *it;
    if (displace ? facts_[slot].kept : !settled(slot)) continue;
    if (!reclaim(slot, next)) continue;
    published_.erase(it);
    if (next == SlotState::kFree) free_.push_back(slot);
    return slot;
  }
  return std::nullopt;
}

std::optional<uint32_t> SharedFramePool::acquire_slot(bool displace) {
  bool displaced = false;
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
    // Slots that come free without a loss first; then at most one frame is lost
    // for one acquired, although another thread may snatch its slot.
    std::function<void(HeldSlot)> on_displaced;
    std::optional<uint32_t> slot = reclaim_oldest(false);
    if (!slot && displace && !displaced && (slot = reclaim_oldest(true))) {
      displaced = true;
      ++frames_displaced_;
      on_displaced = displaced_hook_;
    }
    if (!slot) break;
    const HeldSlot left{*slot, load(*slot).generation};
    const auto on_reclaimed = reclaim_hook_;
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
  if (word.state != SlotState::kWriting)
    bad_pool(options_.stream_id, "publish of a slot that is not written");
  // Groups that are not open now never get this frame: their bits are born closed.
  Facts& facts = facts_[slot];
  facts.expected = route_.open_bits();
  facts.taken = 0;
  word = {word.generation + 1, static_cast<uint8_t>(~facts.expected), SlotState::kPublished};
  ++frames_published_;
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
  const std::lock_guard lock(mutex_);
  const uint32_t index = route_.find(group);
  if (index == kNoGroup) return DeliveryEnd::kGone;
  SlotWord word = load(slot);
  if (word.generation != generation || word.state != SlotState::kPublished) {
    const Facts& facts = facts_[slot];
    if (generation == 0 || facts.left_generation != generation) return DeliveryEnd::kGone;
    return has(facts.left_taken, index) ? DeliveryEnd::kTaken : DeliveryEnd::kClosed;
  }
  // Dekker again: the bit, then the lanes; a consumer writes its lane, then
  // reads the bit. It stays set whatever the scan finds.
  word.closed = with(word.closed, index);
  store(slot, word);
  const LaneScan scan = scan_group(slot, generation, index);
  if (scan.held || scan.released) return DeliveryEnd::kTaken;
  return scan.tentative ? DeliveryEnd::kUndecided : DeliveryEnd::kClosed;
}

Delivery SharedFramePool::delivery(uint32_t slot, uint64_t generation,
                                   const std::string& group) const {
  check_slot(slot);
  const std::lock_guard lock(mutex_);
  const uint32_t index = route_.find(group);
  if (index == kNoGroup) return Delivery::kGone;
  const SlotWord word = load(slot);
  if (word.generation != generation || word.state != SlotState::kPublished) {
    const Facts& facts = facts_[slot];
    const bool taken = facts.left_generation == generation && has(facts.left_taken, index);
    return taken ? Delivery::kReleased : Delivery::kGone;
  }
  const LaneScan scan = scan_group(slot, generation, index);
  if (scan.held) return Delivery::kHeld;
  return scan.released ? Delivery::kReleased : Delivery::kNone;
}

void SharedFramePool::open_group(const RouteGroup& group) {
  if (group.name.empty() || group.hold == 0)
    bad_pool(options_.stream_id, "a group has a name and a hold");
  const std::lock_guard lock(mutex_);
  const uint32_t known = route_.find(group.name);
  const uint32_t had = known != kNoGroup && route_.at(known).open ? route_.at(known).group.hold : 0;
  if (group.hold <= had) return;
  admission().check_group(group.name, group.hold - had);
  if (known != kNoGroup) return route_.open(known, group);
  const auto index = route_.vacant([this](uint32_t each) { return has_lanes(each); });
  if (!index) refuse_group(options_.stream_id, group.name);
  forget_group(*index);
  route_.open(*index, group);
}

void SharedFramePool::close_group(const std::string& group) {
  const std::lock_guard lock(mutex_);
  const uint32_t index = route_.find_open(group);
  if (index == kNoGroup) return;
  route_.close(index);
  for (const uint32_t slot : published_) {
    SlotWord word = load(slot);
    word.closed = with(word.closed, index);
    store(slot, word);
  }
}

// The index goes to another group: nothing that it meant may count for that one.
// Its bit is set in all published slots, since the group was closed or never there.
void SharedFramePool::forget_group(uint32_t group) {
  for (Facts& facts : facts_) {
    facts.expected = without(facts.expected, group);
    facts.taken = without(facts.taken, group);
    facts.left_taken = without(facts.left_taken, group);
  }
}

bool SharedFramePool::has_lanes(uint32_t group) const {
  return std::any_of(lanes_.begin(), lanes_.end(),
                     [&](const auto& lane) { return lane->group() == group; });
}

Admission SharedFramePool::admission() const {
  uint32_t leftover = 0;
  for (const uint32_t slot : published_) {
    LaneScan closed;
    for (const auto& lane : lanes_) {
      if (lane->group() == kNoGroup || route_.at(lane->group()).open) continue;
      closed.add(lane->word(slot), load(slot).generation);
    }
    leftover += closed.leased() ? 1 : 0;
  }
  return {options_.stream_id, options_.capacity, route_, lanes_, leftover};
}

SlotCounts SharedFramePool::slot_counts() const {
  SlotCounts counts;
  counts.free = static_cast<uint32_t>(free_.size());
  counts.published = static_cast<uint32_t>(published_.size());
  counts.writing = options_.slots - counts.free - counts.published;
  return counts;
}

// A delivery counts when it is final: the frame has gone, or was let go of, or
// was closed with nobody at it.
std::vector<GroupState> SharedFramePool::group_states() const {
  std::vector<GroupState> states;
  for (uint32_t index = 0; index < kMaxGroups; ++index) {
    const Route::Place& place = route_.at(index);
    if (!place.open) continue;
    GroupState state{place.group, place.delivered, place.missed};
    for (const uint32_t slot : published_) {
      const SlotWord word = load(slot);
      if (!has(facts_[slot].expected, index)) continue;
      const LaneScan scan = scan_group(slot, word.generation, index);
      if (scan.released) {
        ++state.delivered;
      } else if (has(word.closed, index) && !scan.leased()) {
        ++state.missed;
      }
    }
    states.push_back(std::move(state));
  }
  return states;
}

PoolState SharedFramePool::state() const {
  PoolState state;
  state.stream_id = options_.stream_id;
  state.epoch = epoch_;
  state.memory = options_.memory;
  state.width = options_.format.width;
  state.height = options_.format.height;
  state.slots = options_.slots;
  state.capacity = options_.capacity;
  const std::lock_guard lock(mutex_);
  state.counts = slot_counts();
  state.retired = retired_;
  state.frames_published = frames_published_;
  state.frames_displaced = frames_displaced_;
  state.groups = group_states();
  for (const auto& lane : lanes_) {
    const LaneRequest& owner = lane->owner();
    state.consumers.push_back(
        {owner.consumer, owner.group, owner.peer_uid, lane->hold(), lane->counts()});
  }
  return state;
}

void SharedFramePool::end_deliveries() {
  const std::lock_guard lock(mutex_);
  for (const uint32_t slot : published_) {
    SlotWord word = load(slot);
    word.closed = kAllGroups;
    store(slot, word);
  }
}

bool SharedFramePool::drained() const {
  const std::lock_guard lock(mutex_);
  return retired_ && std::all_of(published_.begin(), published_.end(),
                                 [this](uint32_t slot) { return settled(slot); });
}

std::shared_ptr<Lane> SharedFramePool::open_lane(const LaneRequest& request) {
  Memfd memory = create_memfd("framebus-lane-" + options_.stream_id, lane_bytes(options_.slots),
                              Writers::kAnyHolder);
  const std::lock_guard lock(mutex_);
  const uint32_t group = route_.find_open(request.group);
  const uint32_t hold = admission().grant(request, group);
  auto lane = std::make_shared<Lane>(std::move(memory), request, group, hold);
  lanes_.push_back(lane);
  return lane;
}

void SharedFramePool::leased(const Lane& lane, std::vector<HeldSlot>& slots) const {
  slots.clear();
  const std::lock_guard lock(mutex_);
  for (const uint32_t slot : published_) {
    const uint64_t generation = load(slot).generation;
    LaneScan scan;
    scan.add(lane.word(slot), generation);
    if (scan.leased()) slots.push_back({slot, generation});
  }
}

std::vector<HeldSlot> SharedFramePool::close_lane(const std::shared_ptr<Lane>& lane) {
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
      facts_[slot].taken = with(facts_[slot].taken, lane->group());
    }
  }
  return held;
}

}  // namespace

std::shared_ptr<FramePool> FramePool::create(const FramePoolOptions& options) {
  return std::make_shared<SharedFramePool>(checked(options));
}

}  // namespace framebus
