// Recording of contract_recording.ts.
#include "recording.h"

#include <napi.h>

#include <memory>
#include <utility>

#include "async.h"
#include "module.h"
#include "output.h"
#include "recording_events.h"

namespace framebus::binding {

RecordingOptions recording_options_from_js(const Fields& fields) {
  return {.folder = fields.string("folder"),
          .segment_ns = uint64_t{fields.uint32("segmentMs")} * 1'000'000,
          .max_bytes = fields.uint64("maxBytes"),
          .sidecar = fields.boolean("sidecar"),
          .queue_bytes = fields.uint64("queueBytes")};
}

namespace {

struct RecordingArguments {
  std::shared_ptr<Output> output;
  RecordingOptions options;
  Napi::Function listener;
};

class RecordingWrap : public Napi::ObjectWrap<RecordingWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Recording",
                       {InstanceMethod<&RecordingWrap::expect>("expect"),
                        InstanceMethod<&RecordingWrap::stats>("stats"),
                        InstanceMethod<&RecordingWrap::close>("close")});
  }
  explicit RecordingWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RecordingWrap>(info) {
    auto arguments = take_arguments<RecordingArguments>(info);
    channel_ = std::make_shared<EventChannel<RecordingEvent>>(
        arguments.listener, "framebus recording", kRecordingEventQueue, &recording_event_to_js);
    try {
      recording_ = guarded(info.Env(), [&] {
        return Recording::open(arguments.output, std::move(arguments.options),
                               std::make_shared<PostingRecording>(channel_));
      });
    } catch (...) {
      channel_->close();
      throw;
    }
    Ref();  // Open recordings are not garbage, whoever forgets them.
  }
  ~RecordingWrap() override { channel_->close(); }

 private:
  void expect(const Napi::CallbackInfo& info) {
    recording_->expect(uint64_argument(info, 0, "seq"), string_argument(info, 1, "epoch"),
                       string_argument(info, 2, "record"));
  }
  Napi::Value stats(const Napi::CallbackInfo& info) {
    return recording_stats_to_js(info.Env(), recording_->stats());
  }
  Napi::Value close(const Napi::CallbackInfo& info) {
    if (std::exchange(open_, false)) Unref();
    return run_async<bool>(
        info.Env(), "framebus recording close",
        [recording = recording_] {
          recording->close();
          return true;
        },
        [channel = channel_](Napi::Env env, bool&) {
          channel->close();
          return env.Undefined();
        });
  }

  std::shared_ptr<EventChannel<RecordingEvent>> channel_;
  std::shared_ptr<Recording> recording_;
  bool open_ = true;
};

Napi::Value create_recording(const Napi::CallbackInfo& info) {
  const OutputWrap* output = unwrap<OutputWrap>(info[0], "output");
  const Fields fields(info, 1, "options");
  RecordingArguments arguments;
  arguments.output = output->output();
  arguments.options = recording_options_from_js(fields);
  arguments.listener = function_argument(info, 2, "listener");
  return new_instance<RecordingWrap>(info.Env(), std::move(arguments));
}

const Module kModule{[](Napi::Env env, Napi::Object exports) {
  register_class<RecordingWrap>(env, RecordingWrap::define(env));
  exports.Set("createRecording", Napi::Function::New(env, &create_recording, "createRecording"));
}};

}  // namespace
}  // namespace framebus::binding
