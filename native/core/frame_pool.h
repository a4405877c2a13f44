// The producer's side of one pool: slots of frame memory in a sealed memfd.
//
// Slot protocol (see also bus_layout.h): one 64-bit word a slot
// {generation, closed groups, state}, FREE -> WRITING -> PUBLISHED ->
// RECLAIMING -> FREE. Consumers keep leases in lanes of their own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frame_view.h"

namespace framebus {

// How a delivery to a group stands or ended; names as in contract.ts.
enum class DeliveryEnd { kClosed, kTaken, kUndecided, kGone };
enum class Delivery { kNone, kHeld, kReleased, kGone };

struct FramePoolOptions {
  std::string stream_id;
  FrameFormat format;
  PlaneLayout layout;
  uint32_t slots = 0;
  std::vector<std::string> groups;  // At most 8; the stream's route.
};

struct SlotCounts {
  uint32_t free = 0;
  uint32_t writing = 0;
  uint32_t published = 0;
};

// Thread-safe. Shared between the decode pipeline (which fills slots), the bus
// server (which hands the memory to consumers and ends their leases) and the
// binding.
class FramePool {
 public:
  // Throws BusError (NO_SPACE, BAD_OPTIONS).
  static std::shared_ptr<FramePool> create(const FramePoolOptions& options);
  virtual ~FramePool() = default;

  virtual const std::string& epoch() const = 0;  // 32 hex digits.
  virtual uint64_t created_unix_ns() const = 0;  // Strictly increasing in a process.
  virtual const FramePoolOptions& options() const = 0;

  // Start of a slot's pixels; owned by the pool, 64-byte aligned.
  virtual uint8_t* slot_data(uint32_t slot) = 0;

  // Takes a FREE slot into WRITING. With none free, reclaims the oldest
  // published slot whose deliveries have all ended and that nobody leases.
  virtual std::optional<uint32_t> acquire() = 0;
  // Like acquire, but also ends the pending deliveries of the oldest published
  // slot that nobody leases (drop-oldest). `on_displaced` frames are reported
  // through the displaced listener.
  virtual std::optional<uint32_t> acquire_displacing() = 0;
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

  // No more leases on this pool: a newer epoch has replaced it. The memory is
  // gone when the last consumer has detached and the last reference is dropped.
  virtual void retire() = 0;
};

}  // namespace framebus
