#include "bus_message.h"

#include <algorithm>

#include "error.h"

namespace framebus {

std::optional<BusMessageType> message_type(const void* data, size_t bytes) {
  BusMessageHead head;
  if (bytes < sizeof(head)) return std::nullopt;
  std::memcpy(&head, data, sizeof(head));
  if (head.magic != kBusMagic) return std::nullopt;
  return head.type;
}

std::optional<uint32_t> hello_version(const void* data, size_t bytes) {
  constexpr size_t kAt = offsetof(HelloMessage, version);
  uint32_t version = 0;
  if (bytes < kAt + sizeof(version) || message_type(data, bytes) != BusMessageType::kHello) {
    return std::nullopt;
  }
  std::memcpy(&version, static_cast<const char*>(data) + kAt, sizeof(version));
  return version;
}

std::array<char, kTokenBytes> token_field(std::string_view token) {
  if (token.size() > kTokenBytes || token.find('\0') != std::string_view::npos) {
    throw Error("BAD_OPTIONS", "frame bus token: it has at most " + std::to_string(kTokenBytes) +
                                   " bytes, none of them zero");
  }
  std::array<char, kTokenBytes> field{};
  token.copy(field.data(), field.size());
  return field;
}

bool same_token(const std::array<char, kTokenBytes>& a, const std::array<char, kTokenBytes>& b) {
  unsigned difference = 0;
  for (size_t i = 0; i < kTokenBytes; ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  }
  return difference == 0;
}

bool is_epoch(std::string_view text) {
  return text.size() == kEpochDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::optional<std::string> epoch_text(const std::array<char, kEpochDigits>& field) {
  std::string text(field.data(), field.size());
  if (!is_epoch(text)) return std::nullopt;
  return text;
}

bool is_bus_name(std::string_view text) {
  // A leading dot would hide the socket, or name a directory.
  if (text.empty() || text.size() > 64 || text.front() == '.') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '_' || c == '-';
  });
}

bool is_sane(const PoolMessage& pool) {
  constexpr uint64_t kMaxStride = uint64_t{1} << 31;
  if (pool.slots == 0 || pool.slots > kMaxSlots) return false;
  if (pool.memory < MemoryKind::kShm || pool.memory > MemoryKind::kDmabuf) return false;
  if (pool.memory == MemoryKind::kDmabuf && pool.slots > kMaxDmabufSlots) return false;
  if (pool.group >= kMaxGroups && pool.group != kNoGroup) return false;
  if (pool.hold == 0) return false;
  if (pool.slot_stride > kMaxStride || pool.layout.slot_bytes > pool.slot_stride) return false;
  const auto matrix = pool.format.matrix;
  const auto range = pool.format.range;
  if (matrix != ColorMatrix::kBt601 && matrix != ColorMatrix::kBt709) return false;
  if (range != ColorRange::kLimited && range != ColorRange::kFull) return false;
  return layout_fits(pool.format, pool.layout);
}

}  // namespace framebus
