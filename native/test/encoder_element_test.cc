// encoder_properties: our options in the words of each element.
#include "core/encoder_element.h"

#include <functional>
#include <map>
#include <string>

#include "check.h"
#include "core/error.h"

namespace {

using namespace framebus;

using Set = std::map<std::string, std::string>;

// Names and values as the table has them: alternatives joined by "|", optional ones with "?".
Set properties(EncoderKind kind, const EncodeOptions& options) {
  const auto joined = [](const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts) text += (text.empty() ? "" : "|") + part;
    return text;
  };
  Set set;
  for (const ElementProperty& property : encoder_properties(kind, options, 50)) {
    set[joined(property.names) + (property.optional ? "?" : "")] = joined(property.values);
  }
  return set;
}

EncodeOptions with(RateControl control, uint32_t max_bitrate_kbps = 0) {
  EncodeOptions options;
  options.rate_control = control;
  options.bitrate_kbps = 3000;
  options.max_bitrate_kbps = max_bitrate_kbps;
  options.quality = 27;
  options.preset = "faster";
  options.threads = 3;
  return options;
}

TEST("nvh264enc and nvh265enc, of both generations") {
  const Set common{{"preset", "p3|low-latency"},
                   {"tune?", "ultra-low-latency"},
                   {"gop-size", "50"},
                   {"b-frames|bframes?", "0"},
                   {"zero-reorder-delay|zerolatency", "true"},
                   {"rc-lookahead?", "0"},
                   {"repeat-sequence-header?", "true"},
                   {"aud?", "false"}};
  Set cbr = common;
  cbr.insert({{"rate-control|rc-mode", "cbr"}, {"bitrate", "3000"}, {"vbv-buffer-size?", "1800"}});
  CHECK(properties(EncoderKind::kNvenc, with(RateControl::kCbr)) == cbr);
  Set vbr = common;
  vbr.insert({{"rate-control|rc-mode", "vbr"}, {"bitrate", "3000"}, {"max-bitrate", "6000"}});
  CHECK(properties(EncoderKind::kNvenc, with(RateControl::kVbr, 6000)) == vbr);
  Set quality = common;
  quality.insert({{"rate-control|rc-mode", "vbr"}, {"const-quality", "27"}});
  CHECK(properties(EncoderKind::kNvenc, with(RateControl::kQuality)) == quality);
  quality.insert({"max-bitrate", "9000"});
  CHECK(properties(EncoderKind::kNvenc, with(RateControl::kQuality, 9000)) == quality);
}

TEST("nvv4l2h264enc and nvv4l2h265enc of a Jetson count in bits") {
  const Set common{{"iframeinterval", "50"}, {"idrinterval", "50"},  {"insert-sps-pps", "true"},
                   {"insert-vui?", "true"},  {"num-B-Frames?", "0"}, {"maxperf-enable?", "true"}};
  Set cbr = common;
  cbr.insert({{"preset-level", "FastPreset"},
              {"ratecontrol-enable", "true"},
              {"control-rate", "constant_bitrate"},
              {"bitrate", "3000000"}});
  CHECK(properties(EncoderKind::kJetson, with(RateControl::kCbr)) == cbr);
  Set vbr = cbr;
  vbr["control-rate"] = "variable_bitrate";
  vbr["peak-bitrate"] = "6000000";
  CHECK(properties(EncoderKind::kJetson, with(RateControl::kVbr, 6000)) == vbr);
  Set quality = common;
  quality.insert({{"preset-level", "DisablePreset"},
                  {"ratecontrol-enable", "false"},
                  {"quant-i-frames", "27"},
                  {"quant-p-frames", "27"}});
  CHECK(properties(EncoderKind::kJetson, with(RateControl::kQuality)) == quality);
}

TEST("x264enc keeps a limit by its buffer") {
  Set cbr = properties(EncoderKind::kX264, with(RateControl::kCbr));
  CHECK(cbr["pass"] == "cbr" && cbr["bitrate"] == "3000" && cbr["vbv-buf-capacity"] == "600");
  CHECK(cbr["bframes"] == "0" && cbr["key-int-max"] == "50" && cbr["threads"] == "3");
  CHECK(cbr["speed-preset"] == "faster" && cbr["tune"] == "zerolatency");
  Set vbr = properties(EncoderKind::kX264, with(RateControl::kVbr, 6000));
  CHECK(vbr["pass"] == "cbr" && vbr["bitrate"] == "3000" && vbr["vbv-buf-capacity"] == "5000");
  CHECK(properties(EncoderKind::kX264, with(RateControl::kVbr, 3000))["vbv-buf-capacity"] == "600");
  CHECK(properties(EncoderKind::kX264, with(RateControl::kVbr, 90'000))["vbv-buf-capacity"] ==
        "10000");
  Set quality = properties(EncoderKind::kX264, with(RateControl::kQuality));
  CHECK(quality["pass"] == "qual" && quality["quantizer"] == "27");
  CHECK(quality["vbv-buf-capacity"] == "0" && !quality.contains("bitrate"));
  quality = properties(EncoderKind::kX264, with(RateControl::kQuality, 9000));
  CHECK(quality["vbv-buf-capacity"] == "600" && quality["bitrate"] == "9000");
}

TEST("presets go from the fastest to the slowest") {
  const auto preset = [](EncoderKind kind, const char* name, const char* property) {
    EncodeOptions options;
    options.preset = name;
    return properties(kind, options)[property];
  };
  CHECK(preset(EncoderKind::kNvenc, "ultrafast", "preset") == "p1|low-latency-hp");
  CHECK(preset(EncoderKind::kNvenc, "veryslow", "preset") == "p7|low-latency-hq");
  CHECK(preset(EncoderKind::kJetson, "veryfast", "preset-level") == "UltraFastPreset");
  CHECK(preset(EncoderKind::kJetson, "medium", "preset-level") == "MediumPreset");
  CHECK(preset(EncoderKind::kJetson, "slow", "preset-level") == "SlowPreset");
  CHECK(preset(EncoderKind::kOpenh264, "veryfast", "complexity") == "low");
  CHECK(preset(EncoderKind::kOpenh264, "slow", "complexity") == "high");
}

std::string refused(const std::function<void()>& attempt) {
  try {
    attempt();
  } catch (const Error& error) {
    return std::string(error.code()) + ": " + error.what();
  }
  return "none";
}

TEST("what makes no sense, and what an element does not take, is refused") {
  EncodeOptions options = with(RateControl::kVbr, 2000);
  CHECK(refused([&] { encoder_properties(EncoderKind::kX264, options, 50); }) ==
        "BAD_OPTIONS: encoder: maxBitrateKbps must not be less than bitrateKbps");
  options = with(RateControl::kQuality);
  options.quality = 52;
  CHECK(refused([&] { encoder_properties(EncoderKind::kX265, options, 50); }) ==
        "BAD_OPTIONS: encoder: quality must be from 0 to 51, is 52");
  options.quality = 20;
  options.preset = "hasty";
  CHECK(refused([&] {
          encoder_properties(EncoderKind::kNvenc, options, 50);
        }).starts_with("BAD_OPTIONS: encoder: there is no preset \"hasty\""));

  init_gstreamer();
  const GstPtr<GstElement> x265 = make_element("x265enc");
  EncodeOptions fast;
  fast.bitrate_kbps = 110'000;
  CHECK(refused([&] {
          set_properties(x265.get(), encoder_properties(EncoderKind::kX265, fast, 50));
        }) == "BAD_OPTIONS: encoder x265enc: does not take bitrate=110000; change sink.encode");
  // The first name and the first value that the element has; what is optional may be missing.
  set_properties(x265.get(), {{.names = {"gop-size", "key-int-max"}, .values = {"many", "12"}},
                              {.names = {"gop-size"}, .values = {"1"}, .optional = true}});
  gint distance = 0;
  g_object_get(x265.get(), "key-int-max", &distance, nullptr);
  CHECK(distance == 12);
}

}  // namespace

int main() { return framebus::test::run_all(); }
