#include "random_access.h"

#include <cstddef>

namespace framebus {
namespace {

constexpr size_t kLengthBytes = 4;

// nal_unit_type: ITU-T H.264, table 7-1; H.265, table 7-1 (BLA, IDR, CRA).
bool starts_decoding(VideoCodec codec, uint8_t header) {
  if (codec == VideoCodec::kH264) return (header & 0x1F) == 5;
  const int type = header >> 1 & 0x3F;
  return type >= 16 && type <= 21;
}

}  // namespace

bool is_random_access(VideoCodec codec, std::span<const uint8_t> bytes) {
  while (bytes.size() > kLengthBytes) {
    const size_t length =
        size_t{bytes[0]} << 24 | size_t{bytes[1]} << 16 | size_t{bytes[2]} << 8 | bytes[3];
    if (starts_decoding(codec, bytes[kLengthBytes])) return true;
    if (length > bytes.size() - kLengthBytes) return false;
    bytes = bytes.subspan(kLengthBytes + length);
  }
  return false;
}

}  // namespace framebus
