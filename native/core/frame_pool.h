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
#include <vector>

#include "frame_pool_options.h"
#include "frame_view.h"
#include "lane.h"
#include "pool_memory.h"
#include "pool_state.h"
#include "route.h"

namespace framebus {

// How a delivery to a group stands or ended; names as in contract.ts.
enum class DeliveryEnd { kClosed, kTaken, kUndecided, kGone };
enum class Delivery { kNone, kHeld, kReleased, kGone };

// A slot that a consumer had leased.
struct HeldSlot {
  uint32_t slot = 0;
  uint64_t generation = 0;
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
  // As checked(): the capacity is filled in.
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
  // end as kClosed, and the displaced hook is told. Never one that a decoder
  // keeps: its frame would be lost, and no slot won.
  virtual std::optional<uint32_t> acquire_displacing() = 0;
  // Called without locks held, by the thread that displaces.
  virtual void set_displaced_hook(std::function<void(HeldSlot displaced)> hook) = 0;
  // WRITING -> PUBLISHED; all open groups pending. Returns the generation.
  virtual uint64_t publish(uint32_t slot) = 0;
  // WRITING -> FREE: nothing was written, or a decoder gave the slot back.
  virtual void discard(uint32_t slot) = 0;

  // A reclaimed slot usually becomes FREE at once. A decoder that still reads
  // its own reference frames sets this hook: it is called when a slot has
  // left PUBLISHED, and the slot becomes FREE by finish_reclaim(). Called
  // without locks held.
  virtual void set_reclaim_hook(std::function<void(uint32_t slot)> hook) = 0;
  virtual void finish_reclaim(uint32_t slot) = 0;
  // Whether a decoder reads the slot, so that its reclaim would not free it at once.
  virtual void set_kept(uint32_t slot, bool kept) = 0;

  // Puts a group on the route of all frames published from now on; those before
  // are not for it. Opens what is open already again only to raise its hold.
  // Throws BUS_ADMISSION when so many frames are not to be had, or no place is.
  virtual void open_group(const RouteGroup& group) = 0;
  // Ends all deliveries to it. Unknown names are ignored.
  virtual void close_group(const std::string& group) = 0;

  // See Source.endDelivery and Source.delivery in contract.ts. kGone, too, for a
  // group that is not, or no longer, on the route.
  virtual DeliveryEnd end_delivery(uint32_t slot, uint64_t generation,
                                   const std::string& group) = 0;
  virtual Delivery delivery(uint32_t slot, uint64_t generation, const std::string& group) const = 0;

  virtual SlotCounts counts() const = 0;
  // All but how often consumers were revoked, which the pool does not know.
  virtual PoolState state() const = 0;

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
  // Throws BUS_ADMISSION (with the numbers), NO_SPACE, BUS_MEMORY.
  virtual std::shared_ptr<Lane> open_lane(const LaneRequest& request) = 0;
  // What the consumer leases now, also what it has not confirmed yet.
  virtual void leased(const Lane& lane, std::vector<HeldSlot>& slots) const = 0;
  // The consumer is gone, or fenced: its leases are returned, exactly those; a
  // delivery that it had taken and let go stays taken. Returns what it still held.
  virtual std::vector<HeldSlot> close_lane(const std::shared_ptr<Lane>& lane) = 0;
};

}  // namespace framebus
