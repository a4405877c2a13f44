// choose_encoder: what each machine gets, and why.
#include "core/encoder_choice.h"

#include <set>
#include <string>

#include "check.h"
#include "core/error.h"

namespace {

using namespace framebus;

using Names = std::set<std::string>;

EncoderProbe machine(const Names& elements, const Names& paths = {}) {
  return {.has_element = [elements](const std::string& name) { return elements.contains(name); },
          .has_path = [paths](const std::string& path) { return paths.contains(path); }};
}

const Names kSoftware{"x264enc", "openh264enc", "x265enc"};
const Names kJetson{"nvv4l2h264enc", "nvv4l2h265enc", "x264enc", "x265enc"};
const Names kNvidia{"nvh264enc", "nvh265enc", "x264enc", "x265enc"};

std::string chosen(VideoCodec codec, EncoderKind wanted, const EncoderProbe& probe) {
  try {
    const EncoderChoice choice = choose_encoder(codec, wanted, probe);
    return std::string(choice.element) + ": " + choice.reason;
  } catch (const Error& error) {
    return std::string(error.code()) + ": " + error.what();
  }
}

std::string by_itself(VideoCodec codec, const EncoderProbe& probe) {
  return chosen(codec, EncoderKind::kAuto, probe);
}

TEST("auto takes the hardware that is there, else software, and says why") {
  const Names node{"/dev/v4l2-nvenc", "/etc/nv_tegra_release"};
  CHECK(by_itself(VideoCodec::kH264, machine(kJetson, node)) ==
        "nvv4l2h264enc: the Jetson's encoder, /dev/v4l2-nvenc");
  CHECK(by_itself(VideoCodec::kH265, machine(kJetson, {"/dev/nvhost-msenc"})) ==
        "nvv4l2h265enc: the Jetson's encoder, /dev/nvhost-msenc");
  CHECK(by_itself(VideoCodec::kH264, machine(kNvidia, {"/dev/nvidiactl"})) ==
        "nvh264enc: NVENC, with /dev/nvidiactl");
  CHECK(by_itself(VideoCodec::kH265, machine(kNvidia, {"/dev/dxg"})) ==
        "nvh265enc: NVENC, with /dev/dxg");
  CHECK(by_itself(VideoCodec::kH264, machine(kSoftware)) ==
        "x264enc: not a Jetson; GStreamer has no nvh264enc");
  CHECK(by_itself(VideoCodec::kH265, machine(kSoftware)) ==
        "x265enc: not a Jetson; GStreamer has no nvh265enc");
  CHECK(by_itself(VideoCodec::kH264, machine({"openh264enc"})).starts_with("openh264enc: "));
}

TEST("an encoder that would hang or fail is not taken") {
  // The Orin Nano: the element, the marker, and no encoder.
  const std::string orin =
      by_itself(VideoCodec::kH264, machine(kJetson, {"/etc/nv_tegra_release"}));
  CHECK(orin.starts_with("x264enc: this Jetson has no encoder (no /dev/v4l2-nvenc"));
  // A container with the libraries, and without the card.
  const std::string blind = by_itself(VideoCodec::kH264, machine(kNvidia));
  CHECK(blind ==
        "x264enc: not a Jetson; nvh264enc is there, and no NVIDIA device (/dev/nvidiactl)");
  // DeepStream on a PC has the Jetson's elements, too.
  CHECK(by_itself(VideoCodec::kH264, machine(kJetson, {"/dev/nvidiactl"})).starts_with("x264enc"));
}

TEST("what is asked for by name is taken or refused") {
  CHECK(chosen(VideoCodec::kH264, EncoderKind::kOpenh264, machine(kSoftware)) ==
        "openh264enc: as configured");
  CHECK(chosen(VideoCodec::kH264, EncoderKind::kX264, machine(kNvidia, {"/dev/nvidiactl"})) ==
        "x264enc: as configured");
  CHECK(chosen(VideoCodec::kH264, EncoderKind::kNvenc, machine(kSoftware)) ==
        "ENCODER_MISSING: encoder nvenc for h264: GStreamer has no nvh264enc");
  CHECK(chosen(VideoCodec::kH265, EncoderKind::kJetson, machine(kSoftware)) ==
        "ENCODER_MISSING: encoder jetson for h265: not a Jetson");
  CHECK(chosen(VideoCodec::kH264, EncoderKind::kX265, machine(kSoftware)) ==
        "BAD_OPTIONS: encoder x265 does not write h264; take another one, or auto");
  CHECK(by_itself(VideoCodec::kH265, machine({})) ==
        "ENCODER_MISSING: encoder auto for h265: not a Jetson; GStreamer has no nvh265enc; "
        "GStreamer has no x265enc");
}

TEST("this machine has the software encoders") {
  const EncoderProbe here = this_machine();
  CHECK(chosen(VideoCodec::kH264, EncoderKind::kX264, here) == "x264enc: as configured");
  CHECK(chosen(VideoCodec::kH264, EncoderKind::kOpenh264, here) == "openh264enc: as configured");
  CHECK(chosen(VideoCodec::kH265, EncoderKind::kX265, here) == "x265enc: as configured");
  CHECK(here.has_path("/proc/self") && !here.has_path("/nowhere/at/all"));
}

}  // namespace

int main() { return framebus::test::run_all(); }
