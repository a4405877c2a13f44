// The messages between producer and consumers: one SOCK_SEQPACKET datagram
// each, fixed size, host byte order (both ends are on one host). Whoever
// receives checks every field; see bus_message.cc.
//
//   consumer -> producer: Hello once; then Attach, Drop
//   producer -> consumer: Welcome or Refused; then Pool (with fds), NoPool or
//                         RefusedAttach for each Attach; Retired at any time;
//                         Fenced as its last word
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "bus_layout.h"
#include "frame_view.h"

namespace framebus {

constexpr uint32_t kBusMagic = 0x53554246;  // "FBUS"
constexpr uint32_t kBusVersion = 3;
constexpr size_t kNameBytes = 68;  // 64, a terminating zero, and no padding after it.
constexpr size_t kTokenBytes = 128;
constexpr size_t kReasonBytes = 256;
constexpr size_t kAdmissionBytes = 448;
constexpr size_t kGpuUuidBytes = 16;
constexpr size_t kIpcHandleBytes = 64;  // CUipcMemHandle.

enum class BusMessageType : uint32_t {
  kHello = 1,
  kWelcome = 2,
  kRefused = 3,
  kAttach = 4,
  kPool = 5,
  kNoPool = 6,
  kRetired = 7,
  kDrop = 8,
  kRefusedAttach = 9,
  kFenced = 10
};

struct BusMessageHead {
  uint32_t magic = kBusMagic;
  BusMessageType type{};
};

struct HelloMessage {
  static constexpr auto kType = BusMessageType::kHello;
  BusMessageHead head{.type = kType};
  uint32_t version = kBusVersion;  // At this place in all versions, see hello_version().
  uint32_t max_held = 0;
  std::array<char, kNameBytes> name{};
  std::array<char, kNameBytes> group{};
  std::array<char, kTokenBytes> token{};  // Filled up with zeros; not ended by one.
};

struct WelcomeMessage {
  static constexpr auto kType = BusMessageType::kWelcome;
  BusMessageHead head{.type = kType};
  uint32_t version = kBusVersion;
};

struct RefusedMessage {
  static constexpr auto kType = BusMessageType::kRefused;
  BusMessageHead head{.type = kType};
  std::array<char, kReasonBytes> reason{};
};

// The producer has ended the consumer's leases and closes the connection.
struct FencedMessage {
  static constexpr auto kType = BusMessageType::kFenced;
  BusMessageHead head{.type = kType};
  std::array<char, kReasonBytes> reason{};
};

// Attach, its answers and Drop are about one mapping of a pool: the consumer numbers
// its attaches, and each has a lane of its own. Retired is about all of them.
template <BusMessageType type>
struct EpochMessage {
  static constexpr auto kType = type;
  BusMessageHead head{.type = kType};
  std::array<char, kEpochDigits> epoch{};
  uint64_t ticket = 0;
};
using NoPoolMessage = EpochMessage<BusMessageType::kNoPool>;
using RetiredMessage = EpochMessage<BusMessageType::kRetired>;
using DropMessage = EpochMessage<BusMessageType::kDrop>;

struct AttachMessage {
  static constexpr auto kType = BusMessageType::kAttach;
  BusMessageHead head{.type = kType};
  std::array<char, kEpochDigits> epoch{};
  uint64_t ticket = 0;
  uint32_t hold = kMaxSlots;  // Frames that it wants to hold at once, at most …
  uint32_t min_hold = 1;      // … and at least.
};

struct RefusedAttachMessage {
  static constexpr auto kType = BusMessageType::kRefusedAttach;
  BusMessageHead head{.type = kType};
  std::array<char, kEpochDigits> epoch{};
  uint64_t ticket = 0;
  std::array<char, kAdmissionBytes> reason{};
};

// Comes with descriptors: the pool's memfd, the consumer's lane, then what the
// memory kind needs, see pixel_fds().
struct PoolMessage {
  static constexpr auto kType = BusMessageType::kPool;
  BusMessageHead head{.type = kType};
  std::array<char, kEpochDigits> epoch{};
  uint64_t ticket = 0;
  uint32_t slots = 0;
  uint32_t group = kNoGroup;  // Index of the consumer's group on the pool's route.
  uint64_t slot_stride = 0;
  FrameFormat format;
  PlaneLayout layout;
  MemoryKind memory = MemoryKind::kShm;
  uint32_t hold = 1;                                  // Frames that the consumer may hold at once.
  uint64_t pixel_bytes = 0;                           // cuda: of the whole allocation.
  uint64_t pid_namespace = 0;                         // cuda-ipc: the producer's; 0: unknown.
  std::array<uint8_t, kGpuUuidBytes> gpu{};           // cuda: on which it lies.
  std::array<uint8_t, kIpcHandleBytes> ipc_handle{};  // cuda-ipc: instead of a descriptor.
};

// Descriptors of the pixels that come after the pool's and the lane's: none for
// shm and cuda-ipc, one for cuda, one a slot for dmabuf.
constexpr size_t pixel_fds(const PoolMessage& pool) {
  if (pool.memory == MemoryKind::kDmabuf) return pool.slots;
  return pool.memory == MemoryKind::kCuda ? 1 : 0;
}

// The largest message, and room to notice a longer one.
constexpr size_t kMessageBytes = 512;
static_assert(sizeof(HelloMessage) <= kMessageBytes && sizeof(PoolMessage) <= kMessageBytes);
static_assert(sizeof(RefusedAttachMessage) <= kMessageBytes);

// The type of a received datagram; nothing when it is no message of ours.
std::optional<BusMessageType> message_type(const void* data, size_t bytes);

// Its content, when it is of that type and exactly that long.
template <class Message>
std::optional<Message> read_message(const void* data, size_t bytes) {
  static_assert(std::has_unique_object_representations_v<Message>, "no padding on the wire");
  if (bytes != sizeof(Message) || message_type(data, bytes) != Message::kType) return std::nullopt;
  Message message;
  std::memcpy(&message, data, sizeof(message));
  return message;
}

// Text of a received field: up to the first zero, which must be there.
template <size_t bytes>
std::optional<std::string> field_text(const std::array<char, bytes>& field) {
  const std::string_view all(field.data(), bytes);
  const size_t end = all.find('\0');
  if (end == std::string_view::npos) return std::nullopt;
  return std::string(all.substr(0, end));
}

// Copies text into a field, cut to fit.
template <size_t bytes>
void set_field(std::array<char, bytes>& field, std::string_view text) {
  field.fill('\0');
  text.copy(field.data(), bytes - 1);
}

// The version of a hello, also of one that is longer or shorter than ours.
std::optional<uint32_t> hello_version(const void* data, size_t bytes);

// The token as it goes over the wire; throws BAD_OPTIONS when it is too long.
std::array<char, kTokenBytes> token_field(std::string_view token);
// In a time that does not depend on where they differ.
bool same_token(const std::array<char, kTokenBytes>& a, const std::array<char, kTokenBytes>& b);

// 32 lower-case hexadecimal digits.
bool is_epoch(std::string_view text);
std::optional<std::string> epoch_text(const std::array<char, kEpochDigits>& field);
template <class Message>
Message epoch_message(const std::string& epoch, uint64_t ticket = 0) {
  Message message;
  message.ticket = ticket;
  epoch.copy(message.epoch.data(), kEpochDigits);
  return message;
}

// `[A-Za-z0-9._-]{1,64}`: names of consumers, groups and producers; safe in paths and logs.
bool is_bus_name(std::string_view text);

// Whether what a producer says of a pool is possible.
bool is_sane(const PoolMessage& pool);

}  // namespace framebus
