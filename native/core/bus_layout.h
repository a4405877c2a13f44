// What lies where in the memory that a producer shares with its consumers.
//
// Pool (one memfd, written by the producer only, sealed so that nobody else
// can map it writable):
//
//   0            PoolHeader, one page
//   4096         slot words, one cache line each
//   data_offset  memory kind shm only: pixels, slot i at data_offset + i * slot_stride
//
// Pixels of the other memory kinds lie elsewhere: see pool_memory.h.
//
// Lane (one memfd for each attached consumer and pool): LaneHeader, then one
// lane word for each slot. All but the header's fence is written by that
// consumer only. Nonsense there harms nobody's leases but its own; the producer
// never reads the fence.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace framebus {

constexpr uint64_t kPoolMagic = 0x314c4f4f50534246;  // "FBSPOOL1"
constexpr uint32_t kPoolVersion = 2;
constexpr size_t kPageBytes = 4096;
constexpr uint32_t kMaxSlots = 1024;
// One descriptor a slot: one message of SCM_RIGHTS carries 253, and one takes the lane.
constexpr uint32_t kMaxDmabufSlots = 250;
constexpr uint32_t kMaxGroups = 8;
constexpr size_t kEpochDigits = 32;

// A consumer whose group is not on the stream's route: may lease, but its
// leases end no delivery.
constexpr uint32_t kNoGroup = 0xff;

struct PoolHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t slots;
  uint64_t slot_stride;
  uint64_t data_offset;  // 0 when the pixels lie elsewhere.
  char epoch[kEpochDigits];
};
static_assert(sizeof(PoolHeader) <= kPageBytes);

struct alignas(64) SlotLine {
  std::atomic<uint64_t> word;
};
static_assert(sizeof(SlotLine) == 64);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

constexpr size_t round_up(size_t value, size_t step) { return (value + step - 1) / step * step; }
constexpr size_t pool_data_offset(uint32_t slots) {
  return round_up(kPageBytes + slots * sizeof(SlotLine), kPageBytes);
}
// Of the memfd: with the pixels, and without.
constexpr size_t pool_bytes(uint32_t slots, size_t slot_stride) {
  return pool_data_offset(slots) + slots * slot_stride;
}
constexpr size_t control_bytes(uint32_t slots) { return pool_data_offset(slots); }

// Why a consumer's leases in a lane are void; 0: they are not.
enum class LaneFence : uint64_t {
  kNone = 0,
  kRevoked = 1,  // By the producer: a lease was too long, or there were too many.
  kEnded = 2     // With the connection, for whatever reason.
};

// Cache lines of their own: the consumer reads the fence at each lease, and
// nobody writes it but once. The counters are for people to see, all relaxed.
struct LaneHeader {
  alignas(64) std::atomic<uint64_t> fence;      // LaneFence; by the producer.
  alignas(64) std::atomic<uint64_t> delivered;  // Frames that it leased; by the consumer, as
  std::atomic<uint64_t> stale;                  // all that follow. Had gone when it wanted them.
  std::atomic<uint64_t> quota;                  // Let go by because it held too many.
  std::atomic<uint64_t> displaced;              // Let go by because newer ones came.
  std::atomic<uint64_t> held;                   // Now.
  std::atomic<uint64_t> held_most;
};
static_assert(sizeof(LaneHeader) == 128);

constexpr size_t lane_bytes(uint32_t slots) {
  return round_up(sizeof(LaneHeader) + slots * sizeof(std::atomic<uint64_t>), kPageBytes);
}
// In a mapped lane.
inline LaneHeader& lane_header(uint8_t* lane) { return *reinterpret_cast<LaneHeader*>(lane); }
inline std::atomic<uint64_t>& lane_word(uint8_t* lane, uint32_t slot) {
  return reinterpret_cast<std::atomic<uint64_t>*>(lane + sizeof(LaneHeader))[slot];
}

// States of a slot. FREE -> WRITING -> PUBLISHED -> RECLAIMING -> FREE;
// RECLAIMING lasts for one scan of the lanes and may go back to PUBLISHED.
// RETAINED: no longer leasable, but a decoder still reads its reference frame.
enum class SlotState : uint8_t {
  kFree = 0,
  kWriting = 1,
  kPublished = 2,
  kReclaiming = 3,
  kRetained = 4
};

// {generation:48, closed groups:8, state:8}. The generation counts the
// publications of the slot from 1; 48 bits last for 8 900 years at 1000 a second.
struct SlotWord {
  uint64_t generation = 0;
  uint8_t closed = 0;  // Bit g: the delivery to group g has ended.
  SlotState state = SlotState::kFree;

  constexpr uint64_t pack() const {
    return generation << 16 | static_cast<uint64_t>(closed) << 8 | static_cast<uint64_t>(state);
  }
  static constexpr SlotWord unpack(uint64_t bits) {
    return {bits >> 16, static_cast<uint8_t>(bits >> 8), static_cast<SlotState>(bits & 0xff)};
  }
};

// What a consumer says of a slot in its lane.
enum class LanePhase : uint8_t { kNone = 0, kTentative = 1, kHeld = 2, kReleased = 3 };

// {generation:48, unused:7, again:1, phase:8}.
struct LaneWord {
  uint64_t generation = 0;
  LanePhase phase = LanePhase::kNone;
  bool again = false;  // The consumer had, and released, this generation before.

  // Whether a lease of the generation has ended.
  constexpr bool had() const { return again || phase == LanePhase::kReleased; }
  constexpr uint64_t pack() const {
    return generation << 16 | static_cast<uint64_t>(again) << 8 | static_cast<uint64_t>(phase);
  }
  static constexpr LaneWord unpack(uint64_t bits) {
    return {bits >> 16, static_cast<LanePhase>(bits & 0xff), (bits >> 8 & 1) != 0};
  }
};

}  // namespace framebus
