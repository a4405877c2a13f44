#include "encoder_element.h"

#include <algorithm>
#include <array>
#include <utility>

#include "error.h"
#include "gst_element.h"

namespace framebus {
namespace {

using Properties = std::vector<ElementProperty>;

constexpr uint32_t kWorstQuality = 51;
// x264's own default: a constant bitrate may be exceeded for so long.
constexpr uint32_t kBufferMs = 600;
// A variable bitrate may be at its maximum for so long.
constexpr uint32_t kPeakMs = 5000;
constexpr uint32_t kUnlimitedKbps = 50'000;

constexpr std::array kPresets{"ultrafast", "superfast", "veryfast", "faster",  "fast",
                              "medium",    "slow",      "slower",   "veryslow"};

// 0: the fastest one.
size_t preset_rank(const std::string& preset) {
  const auto* found = std::find(kPresets.begin(), kPresets.end(), preset);
  if (found == kPresets.end()) {
    throw Error("BAD_OPTIONS", "encoder: there is no preset \"" + preset +
                                   "\"; take one of ultrafast, superfast, veryfast, faster, fast, "
                                   "medium, slow, slower, veryslow");
  }
  return static_cast<size_t>(found - kPresets.begin());
}

std::string text(uint64_t number) { return std::to_string(number); }
std::string bits(uint32_t kbps) { return text(uint64_t{kbps} * 1000); }
uint64_t buffer_kbit(uint32_t kbps) { return uint64_t{kbps} * kBufferMs / 1000; }

ElementProperty set(const char* name, std::string value) {
  return {.names = {name}, .values = {std::move(value)}};
}
ElementProperty set_if_there(std::vector<std::string> names, std::string value) {
  return {.names = std::move(names), .values = {std::move(value)}, .optional = true};
}

// x264enc derives the limit from the bitrate. What lets a variable bitrate reach its
// maximum for a while is a buffer, which is filled at the bitrate.
uint64_t x264_buffer_ms(const EncodeOptions& options) {
  if (options.rate_control == RateControl::kCbr) return kBufferMs;
  const uint64_t above_kbps = options.max_bitrate_kbps - options.bitrate_kbps;
  const uint64_t ms = above_kbps * kPeakMs / options.bitrate_kbps;
  return std::clamp<uint64_t>(ms, kBufferMs, 10'000);
}

Properties x264(const EncodeOptions& options, uint32_t keyframe_frames) {
  Properties properties{set("speed-preset", options.preset),
                        set("tune", "zerolatency"),
                        set("bframes", "0"),
                        set("key-int-max", text(keyframe_frames)),
                        set("threads", text(options.threads)),
                        set("byte-stream", "false"),
                        set("aud", "false")};
  if (options.rate_control != RateControl::kQuality) {
    properties.push_back(set("pass", "cbr"));
    properties.push_back(set("bitrate", text(options.bitrate_kbps)));
    properties.push_back(set("vbv-buf-capacity", text(x264_buffer_ms(options))));
    return properties;
  }
  properties.push_back(set("pass", "qual"));
  properties.push_back(set("quantizer", text(std::min(options.quality, 50U))));
  properties.push_back(set("qp-min", "0"));
  const bool limited = options.max_bitrate_kbps > 0;
  if (limited) properties.push_back(set("bitrate", text(options.max_bitrate_kbps)));
  properties.push_back(set("vbv-buf-capacity", text(limited ? kBufferMs : 0)));
  return properties;
}

Properties x265(const EncodeOptions& options, uint32_t keyframe_frames) {
  // With open GOPs a keyframe would be no place to start.
  std::string rest = "bframes=0:open-gop=0";
  if (options.threads > 0) rest += ":pools=" + text(options.threads);
  const auto limit = [&rest](uint32_t kbps, uint64_t kbit) {
    if (kbps > 0) rest += ":vbv-maxrate=" + text(kbps) + ":vbv-bufsize=" + text(kbit);
  };
  Properties properties{set("speed-preset", options.preset), set("tune", "zerolatency"),
                        set("key-int-max", text(keyframe_frames))};
  switch (options.rate_control) {
    case RateControl::kCbr:
      properties.push_back(set("bitrate", text(options.bitrate_kbps)));
      limit(options.bitrate_kbps, buffer_kbit(options.bitrate_kbps));
      break;
    case RateControl::kVbr:
      properties.push_back(set("bitrate", text(options.bitrate_kbps)));
      limit(options.max_bitrate_kbps, options.max_bitrate_kbps);
      break;
    case RateControl::kQuality:
      rest += ":crf=" + text(options.quality);
      limit(options.max_bitrate_kbps, buffer_kbit(options.max_bitrate_kbps));
      break;
  }
  properties.push_back(set("option-string", rest));
  return properties;
}

Properties openh264(const EncodeOptions& options, uint32_t keyframe_frames) {
  const size_t rank = preset_rank(options.preset);
  Properties properties{
      set("complexity", rank <= 3 ? "low" : (rank <= 5 ? "medium" : "high")),
      set("gop-size", text(keyframe_frames)),
      set("multi-thread", text(options.threads)),
      set("slice-mode", options.threads == 1 ? "n-slices" : "auto"),
      set("enable-frame-skip", "false"),
  };
  switch (options.rate_control) {
    case RateControl::kCbr:
      properties.push_back(set("rate-control", "bitrate"));
      properties.push_back(set("bitrate", bits(options.bitrate_kbps)));
      properties.push_back(set("max-bitrate", bits(options.bitrate_kbps)));
      break;
    case RateControl::kVbr:
      properties.push_back(set("rate-control", "quality"));
      properties.push_back(set("bitrate", bits(options.bitrate_kbps)));
      properties.push_back(set("max-bitrate", bits(options.max_bitrate_kbps)));
      break;
    case RateControl::kQuality:
      properties.push_back(set("rate-control", "quality"));
      properties.push_back(set("bitrate", bits(peak_kbps(options))));
      properties.push_back(set("qp-min", text(options.quality)));
      properties.push_back(
          set("qp-max", text(options.max_bitrate_kbps > 0 ? kWorstQuality : options.quality)));
      break;
  }
  return properties;
}

// nvh264enc, nvh265enc. GStreamer has written them anew since 1.22; the older names come second.
Properties nvenc(const EncodeOptions& options, uint32_t keyframe_frames) {
  constexpr std::array<const char*, kPresets.size()> kLevels{"p1", "p1", "p2", "p3", "p4",
                                                             "p4", "p5", "p6", "p7"};
  const size_t rank = preset_rank(options.preset);
  const char* older = rank <= 2 ? "low-latency-hp" : (rank <= 5 ? "low-latency" : "low-latency-hq");
  Properties properties{
      {.names = {"preset"}, .values = {kLevels.at(rank), older}},
      set_if_there({"tune"}, "ultra-low-latency"),
      set("gop-size", text(keyframe_frames)),
      set_if_there({"b-frames", "bframes"}, "0"),  // Missing where the GPU has none.
      {.names = {"zero-reorder-delay", "zerolatency"}, .values = {"true"}},
      set_if_there({"rc-lookahead"}, "0"),
      set_if_there({"repeat-sequence-header"}, "true"),
      set_if_there({"aud"}, "false"),
      {.names = {"rate-control", "rc-mode"},
       .values = {options.rate_control == RateControl::kCbr ? "cbr" : "vbr"}},
  };
  if (options.rate_control == RateControl::kQuality) {
    // 0 would leave it to the encoder.
    properties.push_back(set("const-quality", text(std::max(options.quality, 1U))));
  } else {
    properties.push_back(set("bitrate", text(options.bitrate_kbps)));
  }
  if (options.rate_control == RateControl::kCbr) {
    properties.push_back(
        set_if_there({"vbv-buffer-size"}, text(buffer_kbit(options.bitrate_kbps))));
  } else if (options.max_bitrate_kbps > 0) {
    properties.push_back(set("max-bitrate", text(options.max_bitrate_kbps)));
  }
  return properties;
}

// nvv4l2h264enc, nvv4l2h265enc of a Jetson.
Properties jetson(const EncodeOptions& options, uint32_t keyframe_frames) {
  const size_t rank = preset_rank(options.preset);
  const bool constant = options.rate_control == RateControl::kQuality;
  const char* level = rank <= 2   ? "UltraFastPreset"
                      : rank <= 4 ? "FastPreset"
                      : rank == 5 ? "MediumPreset"
                                  : "SlowPreset";
  Properties properties{
      // The element takes constant quantizers only without a preset.
      set("preset-level", constant ? "DisablePreset" : level),
      set("iframeinterval", text(keyframe_frames)),
      set("idrinterval", text(keyframe_frames)),
      set("insert-sps-pps", "true"),
      set_if_there({"insert-vui"}, "true"),
      set_if_there({"num-B-Frames"}, "0"),
      set_if_there({"maxperf-enable"}, "true"),
      set("ratecontrol-enable", constant ? "false" : "true"),
  };
  if (constant) {
    properties.push_back(set("quant-i-frames", text(options.quality)));
    properties.push_back(set("quant-p-frames", text(options.quality)));
    return properties;
  }
  const bool cbr = options.rate_control == RateControl::kCbr;
  properties.push_back(set("control-rate", cbr ? "constant_bitrate" : "variable_bitrate"));
  properties.push_back(set("bitrate", bits(options.bitrate_kbps)));
  if (!cbr) properties.push_back(set("peak-bitrate", bits(options.max_bitrate_kbps)));
  return properties;
}

bool set_property(GstElement* element, GParamSpec* spec, const std::string& value_text) {
  GValue value = G_VALUE_INIT;
  g_value_init(&value, spec->value_type);
  // Validation changes a value that is out of range, and says so.
  const bool fits = gst_value_deserialize(&value, value_text.c_str()) != FALSE &&
                    g_param_value_validate(spec, &value) == FALSE;
  if (fits) g_object_set_property(G_OBJECT(element), spec->name, &value);
  g_value_unset(&value);
  return fits;
}

bool set_one(GstElement* element, const ElementProperty& property) {
  for (const std::string& name : property.names) {
    GParamSpec* spec = g_object_class_find_property(G_OBJECT_GET_CLASS(element), name.c_str());
    if (spec == nullptr) continue;
    return std::any_of(
        property.values.begin(), property.values.end(),
        [element, spec](const std::string& value) { return set_property(element, spec, value); });
  }
  return false;
}

}  // namespace

std::vector<ElementProperty> encoder_properties(EncoderKind kind, const EncodeOptions& options,
                                                uint32_t keyframe_frames) {
  static_cast<void>(preset_rank(options.preset));  // Refuses unknown ones.
  if (options.quality > kWorstQuality) {
    throw Error("BAD_OPTIONS",
                "encoder: quality must be from 0 to 51, is " + std::to_string(options.quality));
  }
  if (options.rate_control == RateControl::kVbr &&
      options.max_bitrate_kbps < options.bitrate_kbps) {
    throw Error("BAD_OPTIONS", "encoder: maxBitrateKbps must not be less than bitrateKbps");
  }
  switch (kind) {
    case EncoderKind::kOpenh264:
      return openh264(options, keyframe_frames);
    case EncoderKind::kX265:
      return x265(options, keyframe_frames);
    case EncoderKind::kNvenc:
      return nvenc(options, keyframe_frames);
    case EncoderKind::kJetson:
      return jetson(options, keyframe_frames);
    case EncoderKind::kX264:
    case EncoderKind::kAuto:
      break;
  }
  return x264(options, keyframe_frames);
}

void set_properties(GstElement* element, const std::vector<ElementProperty>& properties) {
  for (const ElementProperty& property : properties) {
    if (set_one(element, property) || property.optional) continue;
    GstElementFactory* const factory = gst_element_get_factory(element);
    throw Error("BAD_OPTIONS", std::string("encoder ") + GST_OBJECT_NAME(factory) +
                                   ": does not take " + property.names.front() + "=" +
                                   property.values.front() + "; change sink.encode");
  }
}

GstPtr<GstElement> make_element(const char* factory) {
  return make_element(factory, "ENCODER_FAILED");
}

std::vector<GstPtr<GstElement>> converters(EncoderKind kind, GstElement* encoder,
                                           const GstCaps* caps) {
  std::vector<GstPtr<GstElement>> elements;
  const GstPtr<GstPad> pad(gst_element_get_static_pad(encoder, "sink"));
  const GstPtr<GstCaps> taken(gst_pad_get_pad_template_caps(pad.get()));
  if (gst_caps_can_intersect(taken.get(), caps) != FALSE) return elements;
  if (kind != EncoderKind::kJetson) {
    elements.push_back(make_element("videoconvert"));
    return elements;
  }
  elements.push_back(make_element("nvvidconv"));
  elements.push_back(make_element("capsfilter"));
  const GstPtr<GstCaps> surfaces(gst_caps_from_string("video/x-raw(memory:NVMM),format=NV12"));
  g_object_set(elements.back().get(), "caps", surfaces.get(), nullptr);
  return elements;
}

uint32_t peak_kbps(const EncodeOptions& options) {
  if (options.rate_control == RateControl::kCbr) return options.bitrate_kbps;
  return options.max_bitrate_kbps > 0 ? options.max_bitrate_kbps : kUnlimitedKbps;
}

}  // namespace framebus
