// A pool as a consumer has it mapped: pixels to read, its own lane to write.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "bus_message.h"
#include "lease_table.h"
#include "memfd.h"
#include "pool_mapping.h"
#include "unique_fd.h"

namespace framebus {

// As LeaseRefusal of contract.ts.
enum class LeaseRefusal { kStale, kUnattached, kQuota };

class PoolView;

// A lease on one slot. Ends when it is destroyed.
class SlotLease final : public Lease {
 public:
  SlotLease(std::shared_ptr<PoolView> pool, uint32_t slot, uint64_t generation);
  ~SlotLease() override;
  SlotLease(const SlotLease&) = delete;
  SlotLease& operator=(const SlotLease&) = delete;

  const FrameFormat& format() const override;
  FrameRead read() const override;
  FrameView device() const override;
  bool valid() const override;

  const std::string& epoch() const;
  uint32_t slot() const { return slot_; }
  uint64_t generation() const { return generation_; }
  const PlaneLayout& layout() const;
  MemoryKind memory() const;
  // The slot's bytes, mapped read-only; null when the CPU cannot reach them.
  const uint8_t* data() const;

 private:
  const std::shared_ptr<PoolView> pool_;
  const uint32_t slot_;
  const uint64_t generation_;
};

// What the pools of one producer share: the connection, which ends for the
// producer when the last user has gone, and the quota.
struct LinkState {
  UniqueFd socket;
  uint32_t max_held = 0;
  std::atomic<uint32_t> held{0};
};

// Thread-safe. Unmapped when the last lease and the consumer have let go of
// it; the producer is told.
class PoolView : public std::enable_shared_from_this<PoolView> {
 public:
  // `message` has passed is_sane(), and `fds` are as many as belong to it: the
  // pool's, the lane's, the pixels'. Throws BUS_MEMORY, MEMORY_UNSUPPORTED.
  static std::shared_ptr<PoolView> map(std::shared_ptr<LinkState> link, const PoolMessage& message,
                                       std::span<const UniqueFd> fds);
  PoolView(std::shared_ptr<LinkState> link, const PoolMessage& message, Mapping control,
           Mapping lane, std::unique_ptr<PoolMapping> pixels);
  ~PoolView();
  PoolView(const PoolView&) = delete;
  PoolView& operator=(const PoolView&) = delete;

  // Atomic operations and an uncontended lock; no system call unless the
  // producer is just scanning this slot.
  std::variant<std::shared_ptr<SlotLease>, LeaseRefusal> lease(uint32_t slot, uint64_t generation);

  const std::string& epoch() const { return epoch_; }
  // Frames that may be held at once, as granted.
  uint32_t hold() const { return description_.hold; }
  // Whether, and why, the producer has ended all leases on this pool.
  LaneFence fence() const {
    return static_cast<LaneFence>(header().fence.load(std::memory_order_seq_cst));
  }
  // Frames that the caller has let go by for newer ones.
  void count_displaced(uint32_t frames);

 private:
  friend class SlotLease;
  struct Local {
    uint64_t generation = 0;
    uint32_t leases = 0;  // Of this process, all on `generation`.
  };

  std::optional<LeaseRefusal> take_slot(uint32_t slot, uint64_t generation);
  const std::atomic<uint64_t>& slot_word(uint32_t slot) const;
  std::atomic<uint64_t>& word(uint32_t slot) const { return lane_word(lane_.data(), slot); }
  LaneHeader& header() const { return lane_header(lane_.data()); }
  void end(uint32_t slot);

  const std::shared_ptr<LinkState> link_;
  const std::string epoch_;
  const PoolMessage description_;
  const Mapping control_;
  const Mapping lane_;
  const std::unique_ptr<PoolMapping> pixels_;
  std::mutex mutex_;  // Local leases and the lane.
  std::vector<Local> local_;
  uint32_t held_ = 0;  // Slots with leases.
};

}  // namespace framebus
