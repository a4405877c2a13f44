#include "encode.h"

#include <array>
#include <string>
#include <utility>

#include "core/encoder_choice.h"
#include "module.h"

namespace framebus::binding {
namespace {

constexpr std::array kCodecs{std::pair{"h264", VideoCodec::kH264},
                             std::pair{"h265", VideoCodec::kH265}};
constexpr std::array kEncoders{
    std::pair{"auto", EncoderKind::kAuto},         std::pair{"x264", EncoderKind::kX264},
    std::pair{"openh264", EncoderKind::kOpenh264}, std::pair{"x265", EncoderKind::kX265},
    std::pair{"nvenc", EncoderKind::kNvenc},       std::pair{"jetson", EncoderKind::kJetson}};
constexpr std::array kRateControls{std::pair{"cbr", RateControl::kCbr},
                                   std::pair{"vbr", RateControl::kVbr},
                                   std::pair{"quality", RateControl::kQuality}};

template <class Names>
auto one_of(const Fields& fields, const char* key, const Names& names) {
  const std::string given = fields.string(key);
  std::string expected = "one of";
  for (const auto& [name, value] : names) {
    if (given == name) return value;
    expected += std::string(" ") + name;
  }
  fields.fail(key, expected);
}

Napi::Value choose(const Napi::CallbackInfo& info) {
  const Fields fields(info, 0, "wanted");
  const VideoCodec codec = one_of(fields, "codec", kCodecs);
  const EncoderKind wanted = one_of(fields, "encoder", kEncoders);
  const EncoderChoice choice =
      guarded(info.Env(), [&] { return choose_encoder(codec, wanted, this_machine()); });
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("element", choice.element);
  object.Set("reason", choice.reason);
  return object;
}

const Module kModule{[](Napi::Env env, Napi::Object exports) {
  exports.Set("chooseEncoder", Napi::Function::New(env, &choose, "chooseEncoder"));
}};

}  // namespace

EncodeOptions encode_options_from_js(const Fields& fields) {
  return {.codec = one_of(fields, "codec", kCodecs),
          .encoder = one_of(fields, "encoder", kEncoders),
          .rate_control = one_of(fields, "rateControl", kRateControls),
          .bitrate_kbps = fields.uint32("bitrateKbps"),
          .max_bitrate_kbps = fields.uint32("maxBitrateKbps"),
          .quality = fields.uint32("quality"),
          .preset = fields.string("preset"),
          .keyframe_interval_ms = fields.uint32("keyframeIntervalMs"),
          .threads = fields.uint32("threads")};
}

}  // namespace framebus::binding
