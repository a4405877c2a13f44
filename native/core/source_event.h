// What a source is asked for, and what it tells. Fields as in contract.ts.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "frame_pool.h"

namespace framebus {

enum class SourceMode { kLatest, kLossless };
enum class RtspTransport { kTcp, kUdp };
enum class CaptureSource { kRtcpSr, kArrival, kFile };

struct SourceOptions {
  std::string stream_id;
  std::string uri;
  bool loop = false;
  bool realtime = false;
  SourceMode mode = SourceMode::kLatest;
  MemoryKind memory = MemoryKind::kShm;
  uint32_t slots = 0;  // That consumers may hold together.
  std::vector<RouteGroup> groups;
  uint32_t decoder_threads = 0;
  RtspTransport rtsp_transport = RtspTransport::kTcp;
  uint32_t no_frame_timeout_ms = 0;
  // Longest wait for the first frame; not in contract.ts.
  uint32_t start_timeout_ms = 20'000;
};

struct EpochEvent {
  std::string epoch;
  uint64_t created_unix_ns = 0;
  FrameFormat format;
  MemoryKind memory = MemoryKind::kShm;
  uint32_t slots = 0;
  std::string decoder;
};

struct FrameEvent {
  std::string epoch;
  uint32_t slot = 0;
  uint64_t generation = 0;
  uint64_t seq = 0;
  uint64_t pts_ns = 0;
  uint64_t capture_unix_ns = 0;
  CaptureSource capture_source = CaptureSource::kFile;
  uint64_t capture_uncertainty_ns = 0;
  uint64_t decoded_monotonic_ns = 0;
};

// Reason: pool_exhausted, the only one there is.
struct DropEvent {
  uint64_t seq = 0;
};

struct WarningEvent {
  std::string code;
  std::string message;
};

struct EndEvent {};

struct ErrorEvent {
  std::string code;
  std::string message;
  bool retryable = false;
};

using SourceEvent =
    std::variant<EpochEvent, FrameEvent, DropEvent, WarningEvent, EndEvent, ErrorEvent>;

struct SourceStats {
  uint64_t frames_decoded = 0;
  uint64_t frames_direct = 0;
  uint64_t frames_copied = 0;
  uint64_t frames_dropped = 0;
  uint32_t slots_free = 0;
  uint32_t slots_writing = 0;
  uint32_t slots_published = 0;
};

}  // namespace framebus
