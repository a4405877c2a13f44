#include "mp4_stream.h"

#include <array>
#include <cstdio>
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

std::string codec_of(const GstCaps* caps) {
  const GValue* value = gst_structure_get_value(gst_caps_get_structure(caps, 0), "codec_data");
  if (value == nullptr || !GST_VALUE_HOLDS_BUFFER(value)) return {};
  // avcC: version, profile, compatibility, level.
  const BufferBytes avcc(gst_value_get_buffer(value));
  if (avcc.size() < 4) return {};
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "avc1.%02x%02x%02x", avcc.data()[1], avcc.data()[2],
                avcc.data()[3]);
  return text.data();
}

}  // namespace framebus
