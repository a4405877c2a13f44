// ClipCache and Clip of contract_recording.ts.
#include "core/clip_cache.h"

#include <napi.h>

#include <memory>
#include <utility>

#include "async.h"
#include "convert.h"
#include "module.h"
#include "output.h"
#include "recording.h"
#include "recording_events.h"

namespace framebus::binding {
namespace {

struct ClipArguments {
  std::shared_ptr<ClipCache> cache;
  uint64_t pre_roll_ns = 0;
  RecordingOptions options;
  Napi::Function listener;
};

class ClipWrap : public Napi::ObjectWrap<ClipWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Clip",
        {InstanceAccessor<&ClipWrap::pre_roll>("preRollMs"),
         InstanceMethod<&ClipWrap::stats>("stats"), InstanceMethod<&ClipWrap::end>("end")});
  }
  explicit ClipWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ClipWrap>(info) {
    auto arguments = take_arguments<ClipArguments>(info);
    channel_ = std::make_shared<EventChannel<RecordingEvent>>(
        arguments.listener, "framebus clip", kRecordingEventQueue, &recording_event_to_js);
    try {
      clip_ = guarded(info.Env(), [&] {
        return ClipCache::begin(std::move(arguments.cache), arguments.pre_roll_ns,
                                std::move(arguments.options),
                                std::make_shared<PostingRecording>(channel_));
      });
    } catch (...) {
      channel_->close();
      throw;
    }
    Ref();  // Running clips are not garbage, whoever forgets them.
  }
  ~ClipWrap() override { channel_->close(); }

 private:
  Napi::Value pre_roll(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(clip_->pre_roll_ns() / 1'000'000));
  }
  Napi::Value stats(const Napi::CallbackInfo& info) {
    return recording_stats_to_js(info.Env(), clip_->stats());
  }
  Napi::Value end(const Napi::CallbackInfo& info) {
    if (std::exchange(open_, false)) Unref();
    return run_async<bool>(
        info.Env(), "framebus clip end",
        [clip = clip_] {
          clip->end();
          return true;
        },
        [channel = channel_](Napi::Env env, bool&) {
          channel->close();
          return env.Undefined();
        });
  }

  std::shared_ptr<EventChannel<RecordingEvent>> channel_;
  std::shared_ptr<ClipCache::Clip> clip_;
  bool open_ = true;
};

struct ClipCacheArguments {
  std::shared_ptr<Output> output;
  ClipCacheOptions options;
};

class ClipCacheWrap : public Napi::ObjectWrap<ClipCacheWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "ClipCache",
                       {InstanceMethod<&ClipCacheWrap::expect>("expect"),
                        InstanceMethod<&ClipCacheWrap::begin>("begin"),
                        InstanceMethod<&ClipCacheWrap::stats>("stats"),
                        InstanceMethod<&ClipCacheWrap::close>("close")});
  }
  explicit ClipCacheWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ClipCacheWrap>(info) {
    auto arguments = take_arguments<ClipCacheArguments>(info);
    cache_ = ClipCache::open(std::move(arguments.output), arguments.options);
  }
  ~ClipCacheWrap() override { cache_->close(); }

 private:
  void expect(const Napi::CallbackInfo& info) {
    cache_->expect(uint64_argument(info, 0, "seq"), string_argument(info, 1, "epoch"),
                   string_argument(info, 2, "record"));
  }
  Napi::Value begin(const Napi::CallbackInfo& info) {
    return new_instance<ClipWrap>(
        info.Env(),
        ClipArguments{cache_, uint64_t{uint32_argument(info, 0, "preRollMs")} * 1'000'000,
                      recording_options_from_js(Fields(info, 1, "options")),
                      function_argument(info, 2, "listener")});
  }
  Napi::Value stats(const Napi::CallbackInfo& info) {
    const ClipCacheStats stats = cache_->stats();
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("frames", static_cast<double>(stats.frames));
    object.Set("bytes", static_cast<double>(stats.bytes));
    return object;
  }
  void close(const Napi::CallbackInfo&) { cache_->close(); }

  std::shared_ptr<ClipCache> cache_;
};

Napi::Value create_clip_cache(const Napi::CallbackInfo& info) {
  const OutputWrap* output = unwrap<OutputWrap>(info[0], "output");
  const Fields fields(info, 1, "options");
  ClipCacheArguments arguments;
  arguments.output = output->output();
  arguments.options = {.pre_roll_ns = uint64_t{fields.uint32("preRollMs")} * 1'000'000,
                       .max_bytes = fields.uint64("maxBytes")};
  return new_instance<ClipCacheWrap>(info.Env(), std::move(arguments));
}

const Module kModule{[](Napi::Env env, Napi::Object exports) {
  register_class<ClipWrap>(env, ClipWrap::define(env));
  register_class<ClipCacheWrap>(env, ClipCacheWrap::define(env));
  exports.Set("createClipCache", Napi::Function::New(env, &create_clip_cache, "createClipCache"));
}};

}  // namespace
}  // namespace framebus::binding
