#include "mp4_stream.h"

#include <array>
#include <string_view>

namespace framebus {
namespace {

constexpr size_t kHeaderBytes = 8;
// No fragment of one picture comes near this; a larger box is garbage.
constexpr uint32_t kMostBoxBytes = 64U << 20;

uint32_t big_endian(const uint8_t* at) {
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

}  // namespace

bool Mp4Stream::add(std::span<const uint8_t> bytes) {
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  while (bytes_.size() - parsed_ >= kHeaderBytes) {
    const uint8_t* box = bytes_.data() + parsed_;
    const uint32_t size = big_endian(box);
    if (size < kHeaderBytes || size > kMostBoxBytes) return false;
    if (bytes_.size() - parsed_ < size) return true;
    const std::array<char, 4> type{static_cast<char>(box[4]), static_cast<char>(box[5]),
                                   static_cast<char>(box[6]), static_cast<char>(box[7])};
    const std::string_view name(type.data(), type.size());
    parsed_ += size;
    if (name != "moov" && name != "mdat") continue;
    const auto end = bytes_.begin() + static_cast<std::ptrdiff_t>(parsed_);
    on_segment_(name == "moov", std::vector<uint8_t>(bytes_.begin(), end));
    bytes_.erase(bytes_.begin(), end);
    parsed_ = 0;
  }
  return true;
}

}  // namespace framebus
