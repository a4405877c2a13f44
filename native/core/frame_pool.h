// The producer's side of one pool: slots of frame memory in a sealed memfd.
//
// Slot protocol (see also bus_layout.h): one 64-bit word a slot
// {generation, closed groups, state}, FREE -> WRITING -> PUBLISHED ->
// RECLAIMING -> FREE. Consumers keep leases in lanes of their own.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "frame_view.h"
#include "memfd.h"
#include "pool_memory.h"

namespace framebus {

// How a delivery to a group stands or ended; names as in contract.ts.
enum class DeliveryEnd { kClosed, kTaken, kUndecided, kGone };
enum class Delivery { kNone, kHeld, kReleased, kGone };

// A consumer group on a stream's route.
struct RouteGroup {
  // Also from a name alone: the smallest hold.
  RouteGroup(const char* group) : name(group) {}
  RouteGroup(std::string group, uint32_t frames = 1) : name(std::move(group)), hold(frames) {}
  std::string name;
  uint32_t hold = 1;  // Frames of the pool that its members may hold at once, together.
};

struct FramePoolOptions {
  std::string stream_id;
  FrameFormat format;
  PlaneLayout layout;
  MemoryKind memory = MemoryKind::kShm;
  uint32_t slots = 0;
  // Slots that consumers may hold together; the others are for whoever writes
  // (a decoder keeps reference frames). 0: all but one.
  uint32_t capacity = 0;
  std::vector<RouteGroup> groups;  // At most 8; the stream's route.
};

struct SlotCounts {
  uint32_t free = 0;
  uint32_t writing = 0;  // Or kept by a decoder after it was reclaimed.
  uint32_t published = 0;
};

// A slot that a consumer had leased.
struct HeldSlot {
  uint32_t slot = 0;
  uint64_t generation = 0;
};

// One consumer's leases on one pool. Made and ended by the bus server; the
// consumer maps the same memory and is the only one to write to it.
class Lane {
 public:
  Lane(Memfd memory, uint32_t group) : memory_(std::move(memory)), group_(group) {}
  int fd() const { return memory_.fd.get(); }
  uint32_t group() const { return group_; }
  uint64_t word(uint32_t slot) const { return words()[slot].load(std::memory_order_seq_cst); }

 private:
  const std::atomic<uint64_t>* words() const {
    return reinterpret_cast<const std::atomic<uint64_t>*>(memory_.mapping.data());
  }
  Memfd memory_;
  uint32_t group_;  // Index on the pool's route, or kNoGroup.
};

// Thread-safe. Shared between the decode pipeline (which fills slots), the bus
// server (which hands the memory to consumers and ends their leases) and the
// binding.
class FramePool {
 public:
  // Throws Error (NO_SPACE, BAD_OPTIONS, BUS_MEMORY).
  static std::shared_ptr<FramePool> create(const FramePoolOptions& options);
  virtual ~FramePool() = default;

  virtual const std::string& epoch() const = 0;  // 32 hex digits.
  virtual uint64_t created_unix_ns() const = 0;  // Strictly increasing in a process.
  virtual const FramePoolOptions& options() const = 0;

  // Start of a slot's pixels for the CPU; owned by the pool, 64-byte aligned.
  // Null when the CPU cannot reach them.
  virtual uint8_t* slot_data(uint32_t slot) = 0;
  // The pixels; lives as long as the pool.
  virtual PoolMemory& memory() const = 0;

  // Takes a FREE slot into WRITING. With none free, reclaims the oldest
  // published slot whose deliveries have all ended and that nobody leases.
  virtual std::optional<uint32_t> acquire() = 0;
  // Like acquire; with none reclaimable, takes the oldest published slot that
  // nobody leases although deliveries of it are pending (drop-oldest). They
  // end as kClosed, and the displaced hook is told.
  virtual std::optional<uint32_t> acquire_displacing() = 0;
  // Called without locks held, by the thread that displaces.
  virtual void set_displaced_hook(std::function<void(HeldSlot displaced)> hook) = 0;
  // WRITING -> PUBLISHED; all groups pending. Returns the generation.
  virtual uint64_t publish(uint32_t slot) = 0;
  // WRITING -> FREE: nothing was written, or a decoder gave the slot back.
  virtual void discard(uint32_t slot) = 0;

  // A reclaimed slot usually becomes FREE at once. A decoder that still reads
  // its own reference frames sets this hook: it is called when a slot has
  // left PUBLISHED, and the slot becomes FREE by finish_reclaim(). Called
  // without locks held.
  virtual void set_reclaim_hook(std::function<void(uint32_t slot)> hook) = 0;
  virtual void finish_reclaim(uint32_t slot) = 0;

  // See Source.endDelivery and Source.delivery in contract.ts.
  virtual DeliveryEnd end_delivery(uint32_t slot, uint64_t generation,
                                   const std::string& group) = 0;
  virtual Delivery delivery(uint32_t slot, uint64_t generation, const std::string& group) const = 0;

  virtual SlotCounts counts() const = 0;

  // Ends every pending delivery of every published slot: nobody can take a
  // lease any more. For a producer that closes.
  virtual void end_deliveries() = 0;

  // A newer epoch has replaced this pool: acquire() gives nothing from now on.
  // Frames that are published can still be leased until their deliveries have
  // ended. Once nothing is pending or leased, the bus server tells consumers to
  // unmap the pool; the memory is gone when the last reference is dropped.
  virtual void retire() = 0;
  // Retired, and nothing is pending or leased.
  virtual bool drained() const = 0;

  // For the bus server: the memfd that a consumer maps, and its lanes.
  virtual int fd() const = 0;
  virtual size_t slot_stride() const = 0;
  // Throws NO_SPACE, BUS_MEMORY.
  virtual std::shared_ptr<const Lane> open_lane(const std::string& group) = 0;
  // The consumer is gone: its leases are returned, exactly those; a delivery
  // that it had taken and let go stays taken. Returns what it still held.
  virtual std::vector<HeldSlot> close_lane(const std::shared_ptr<const Lane>& lane) = 0;
};

}  // namespace framebus
