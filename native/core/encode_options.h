// How an output is encoded.
#pragma once

#include <cstdint>
#include <string>

namespace framebus {

enum class VideoCodec { kH264, kH265 };

enum class EncoderKind { kAuto, kX264, kOpenh264, kX265, kNvenc, kJetson };

enum class RateControl { kCbr, kVbr, kQuality };

// Fields as in contract.ts.
struct EncodeOptions {
  VideoCodec codec = VideoCodec::kH264;
  EncoderKind encoder = EncoderKind::kAuto;
  RateControl rate_control = RateControl::kCbr;
  uint32_t bitrate_kbps = 4000;     // Not used by kQuality.
  uint32_t max_bitrate_kbps = 0;    // Not used by kCbr; 0: no limit.
  uint32_t quality = 23;            // 0 … 51, less is better; used by kQuality alone.
  std::string preset = "veryfast";  // ultrafast … veryslow.
  uint32_t keyframe_interval_ms = 2000;
  uint32_t threads = 0;  // 0: the encoder chooses.
};

}  // namespace framebus
