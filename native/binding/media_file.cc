// FileAddon of contract_file.ts.
#include "core/media_file.h"

#include <napi.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "async.h"
#include "convert.h"
#include "core/joined_file.h"
#include "module.h"

namespace framebus::binding {
namespace {

Napi::Value sound_to_js(Napi::Env env, const std::vector<SoundTrack>& sound) {
  Napi::Array tracks = Napi::Array::New(env, sound.size());
  for (uint32_t n = 0; n < tracks.Length(); ++n) {
    Napi::Array containers = Napi::Array::New(env);
    if (sound[n].in_mp4) containers.Set(containers.Length(), "mp4");
    if (sound[n].in_matroska) containers.Set(containers.Length(), "matroska");
    Napi::Object track = Napi::Object::New(env);
    track.Set("name", sound[n].name);
    track.Set("containers", containers);
    tracks.Set(n, track);
  }
  return tracks;
}

Napi::Value media_file_to_js(Napi::Env env, MediaFile& file) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("width", file.width);
  object.Set("height", file.height);
  object.Set("frameRateNumerator", file.rate_numerator);
  object.Set("frameRateDenominator", file.rate_denominator);
  object.Set("durationNs", file.duration_ns == 0 ? env.Null() : bigint(env, file.duration_ns));
  object.Set("picturesAtNs", bigint(env, file.pictures_at_ns));
  object.Set("beginsAtNs", bigint(env, file.begins_at_ns));
  object.Set("sound", sound_to_js(env, file.sound));
  return object;
}

Napi::Value inspect(const Napi::CallbackInfo& info) {
  return run_async<MediaFile>(
      info.Env(), "framebus inspect file",
      [path = string_argument(info, 0, "path")] { return inspect_media_file(path); },
      &media_file_to_js);
}

std::vector<uint64_t> times_of(const Fields& fields, const char* key) {
  const Napi::Value value = fields.value(key);
  if (!value.IsTypedArray() ||
      value.As<Napi::TypedArray>().TypedArrayType() != napi_biguint64_array)
    fields.fail(key, "BigUint64Array");
  const auto times = value.As<Napi::BigUint64Array>();
  return {times.Data(), times.Data() + times.ElementLength()};
}

JoinOptions join_options(const Fields& fields) {
  const std::string container = fields.string("container");
  if (container != "mp4" && container != "matroska") fields.fail("container", "mp4 or matroska");
  return {.recorded = fields.strings("recorded"),
          .times_ns = times_of(fields, "timesNs"),
          .sound = fields.string("sound"),
          .sound_tracks = fields.uint32("soundTracks"),
          .sound_from_ns = fields.uint64("soundFromNs"),
          .rate_numerator = fields.uint32("frameRateNumerator"),
          .rate_denominator = fields.uint32("frameRateDenominator"),
          .container = container == "mp4" ? Container::kMp4 : Container::kMatroska,
          .file = fields.string("file")};
}

Napi::Value join(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  JoinOptions options = join_options(Fields(info, 0, "options"));
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  Napi::Object joining = Napi::Object::New(env);
  joining.Set("finished",
              run_async(env, "framebus join file", [options = std::move(options), cancelled] {
                join_file(options, *cancelled);
              }));
  joining.Set("cancel",
              Napi::Function::New(
                  env, [cancelled](const Napi::CallbackInfo&) { *cancelled = true; }, "cancel"));
  return joining;
}

const Module kModule{[](Napi::Env env, Napi::Object exports) {
  exports.Set("inspectMediaFile", Napi::Function::New(env, &inspect, "inspectMediaFile"));
  exports.Set("joinFile", Napi::Function::New(env, &join, "joinFile"));
}};

}  // namespace
}  // namespace framebus::binding
