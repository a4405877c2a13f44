#include "encoder_choice.h"

#include <array>
#include <filesystem>
#include <system_error>
#include <vector>

#include "error.h"
#include "gst_ptr.h"

namespace framebus {
namespace {

struct Candidate {
  EncoderKind kind;
  VideoCodec codec;
  const char* element;
};

// In the order in which kAuto takes them.
constexpr std::array kCandidates{
    Candidate{EncoderKind::kJetson, VideoCodec::kH264, "nvv4l2h264enc"},
    Candidate{EncoderKind::kJetson, VideoCodec::kH265, "nvv4l2h265enc"},
    Candidate{EncoderKind::kNvenc, VideoCodec::kH264, "nvh264enc"},
    Candidate{EncoderKind::kNvenc, VideoCodec::kH265, "nvh265enc"},
    Candidate{EncoderKind::kX264, VideoCodec::kH264, "x264enc"},
    Candidate{EncoderKind::kOpenh264, VideoCodec::kH264, "openh264enc"},
    Candidate{EncoderKind::kX265, VideoCodec::kH265, "x265enc"},
};

// The encoder's node, since JetPack 5 and before. The Orin Nano has the element, and none of these.
constexpr std::array kJetsonNodes{"/dev/v4l2-nvenc", "/dev/nvhost-msenc"};
constexpr const char* kJetsonMarker = "/etc/nv_tegra_release";
// The driver's node on Linux and in WSL.
constexpr std::array kNvidiaNodes{"/dev/nvidiactl", "/dev/dxg"};

bool is_hardware(EncoderKind kind) {
  return kind == EncoderKind::kJetson || kind == EncoderKind::kNvenc;
}

template <class Paths>
const char* first_path(const Paths& paths, const EncoderProbe& probe) {
  for (const char* path : paths) {
    if (probe.has_path(path)) return path;
  }
  return nullptr;
}

// Why an encoder cannot be used; empty when it can.
std::string obstacle(const Candidate& candidate, const EncoderProbe& probe) {
  if (candidate.kind == EncoderKind::kJetson && first_path(kJetsonNodes, probe) == nullptr) {
    return probe.has_path(kJetsonMarker)
               ? "this Jetson has no encoder (no /dev/v4l2-nvenc, no /dev/nvhost-msenc)"
               : "not a Jetson";
  }
  if (!probe.has_element(candidate.element)) {
    return std::string("GStreamer has no ") + candidate.element;
  }
  if (candidate.kind == EncoderKind::kNvenc && first_path(kNvidiaNodes, probe) == nullptr) {
    return std::string(candidate.element) + " is there, and no NVIDIA device (/dev/nvidiactl)";
  }
  return {};
}

std::string hardware_reason(const Candidate& candidate, const EncoderProbe& probe) {
  return candidate.kind == EncoderKind::kJetson
             ? std::string("the Jetson's encoder, ") + first_path(kJetsonNodes, probe)
             : std::string("NVENC, with ") + first_path(kNvidiaNodes, probe);
}

std::string join(const std::vector<std::string>& obstacles) {
  std::string text;
  for (const std::string& obstacle : obstacles) text += (text.empty() ? "" : "; ") + obstacle;
  return text;
}

}  // namespace

const char* name_of(VideoCodec codec) { return codec == VideoCodec::kH264 ? "h264" : "h265"; }

const char* name_of(EncoderKind kind) {
  switch (kind) {
    case EncoderKind::kAuto:
      return "auto";
    case EncoderKind::kX264:
      return "x264";
    case EncoderKind::kOpenh264:
      return "openh264";
    case EncoderKind::kX265:
      return "x265";
    case EncoderKind::kNvenc:
      return "nvenc";
    case EncoderKind::kJetson:
      return "jetson";
  }
  return "";
}

EncoderProbe this_machine() {
  init_gstreamer();
  return {.has_element =
              [](const std::string& name) {
                const GstPtr<GstElementFactory> factory(gst_element_factory_find(name.c_str()));
                return factory != nullptr;
              },
          .has_path =
              [](const std::string& path) {
                std::error_code ignored;
                return std::filesystem::exists(path, ignored);
              }};
}

EncoderChoice choose_encoder(VideoCodec codec, EncoderKind wanted, const EncoderProbe& probe) {
  const bool any = wanted == EncoderKind::kAuto;
  std::vector<std::string> obstacles;
  bool fitting = false;
  for (const Candidate& candidate : kCandidates) {
    if (candidate.codec != codec || (!any && candidate.kind != wanted)) continue;
    fitting = true;
    std::string found = obstacle(candidate, probe);
    if (!found.empty()) {
      obstacles.push_back(std::move(found));
      continue;
    }
    if (!any) return {candidate.kind, candidate.element, "as configured"};
    return {candidate.kind, candidate.element,
            is_hardware(candidate.kind) ? hardware_reason(candidate, probe) : join(obstacles)};
  }
  if (!fitting) {
    throw Error("BAD_OPTIONS", std::string("encoder ") + name_of(wanted) + " does not write " +
                                   name_of(codec) + "; take another one, or auto");
  }
  throw Error("ENCODER_MISSING", std::string("encoder ") + name_of(wanted) + " for " +
                                     name_of(codec) + ": " + join(obstacles));
}

}  // namespace framebus
