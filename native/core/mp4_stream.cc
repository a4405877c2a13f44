#include "mp4_stream.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace framebus {
namespace {

constexpr size_t kHeaderBytes = 8;
// No fragment of one picture comes near this; a larger box is garbage.
constexpr uint32_t kMostBoxBytes = 64U << 20;

constexpr uint64_t kDurationSeconds = 86'400;

uint32_t big_endian(const uint8_t* at) {
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

void put_big_endian(std::span<uint8_t> to, uint64_t value) {
  for (size_t i = to.size(); i > 0; --i, value >>= 8) to[i - 1] = static_cast<uint8_t>(value);
}

// What is inside of the first box with a name, among `boxes`; empty without one.
std::span<uint8_t> find(std::span<uint8_t> boxes, std::string_view name) {
  while (boxes.size() >= kHeaderBytes) {
    const size_t size = big_endian(boxes.data());
    if (size < kHeaderBytes || size > boxes.size()) return {};
    if (std::equal(name.begin(), name.end(), boxes.begin() + 4))
      return boxes.subspan(kHeaderBytes, size - kHeaderBytes);
    boxes = boxes.subspan(size);
  }
  return {};
}

// Writes mehd's fragment_duration, in units of mvhd's timescale. Both boxes
// begin with a version, on which the width of their times depends.
void set_duration(std::span<uint8_t> init) {
  const std::span<uint8_t> moov = find(init, "moov");
  const std::span<uint8_t> mvhd = find(moov, "mvhd");
  const std::span<uint8_t> mehd = find(find(moov, "mvex"), "mehd");
  if (mvhd.size() < 24 || mehd.size() < 8) return;
  const uint64_t timescale = big_endian(mvhd.data() + (mvhd[0] == 1 ? 20 : 12));
  const size_t width = mehd[0] == 1 ? 8 : 4;
  const uint64_t most = width == 8 ? UINT64_MAX - 1 : UINT32_MAX - 1;
  put_big_endian(mehd.subspan(4, width), std::min(timescale * kDurationSeconds, most));
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
    std::vector<uint8_t> segment(bytes_.begin(), end);
    if (name == "moov") set_duration(segment);
    on_segment_(name == "moov", std::move(segment));
    bytes_.erase(bytes_.begin(), end);
    parsed_ = 0;
  }
  return true;
}

}  // namespace framebus
