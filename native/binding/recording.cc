// Recording of contract.ts.
#include "core/recording.h"

#include <napi.h>

#include <memory>
#include <string>
#include <utility>

#include "async.h"
#include "convert.h"
#include "module.h"
#include "output.h"

namespace framebus::binding {
namespace {

// An event a group of pictures at most, and a failure or a resumption a second.
constexpr size_t kEventQueue = 256;

struct RecordingEvent {
  enum class Type { kDropped, kFailed, kResumed };
  Type type = Type::kDropped;
  std::string code;
  std::string message;
  std::string file;
};

Napi::Value recording_event_to_js(Napi::Env env, RecordingEvent& event) {
  Napi::Object object = Napi::Object::New(env);
  switch (event.type) {
    case RecordingEvent::Type::kDropped:
      object.Set("type", "dropped");
      break;
    case RecordingEvent::Type::kFailed:
      object.Set("type", "failed");
      object.Set("code", event.code);
      object.Set("message", event.message);
      break;
    case RecordingEvent::Type::kResumed:
      object.Set("type", "resumed");
      object.Set("file", event.file);
      break;
  }
  return object;
}

// Core's events, posted to JavaScript.
class PostingRecording : public RecordingMonitor {
 public:
  explicit PostingRecording(std::shared_ptr<EventChannel<RecordingEvent>> channel)
      : channel_(std::move(channel)) {}
  void on_dropped() override { channel_->post({}); }
  void on_failed(const std::string& code, const std::string& message) override {
    channel_->post(
        {.type = RecordingEvent::Type::kFailed, .code = code, .message = message, .file = {}});
  }
  void on_resumed(const std::string& file) override {
    channel_->post(
        {.type = RecordingEvent::Type::kResumed, .code = {}, .message = {}, .file = file});
  }

 private:
  const std::shared_ptr<EventChannel<RecordingEvent>> channel_;
};

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
        arguments.listener, "framebus recording", kEventQueue, &recording_event_to_js);
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
    const RecordingStats stats = recording_->stats();
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("segments", static_cast<double>(stats.segments));
    object.Set("bytes", static_cast<double>(stats.bytes));
    object.Set("droppedGops", static_cast<double>(stats.dropped_gops));
    object.Set("failures", static_cast<double>(stats.failures));
    object.Set("file",
               stats.file.empty() ? info.Env().Null() : Napi::String::New(info.Env(), stats.file));
    return object;
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
  arguments.options = {.folder = fields.string("folder"),
                       .segment_ns = uint64_t{fields.uint32("segmentMs")} * 1'000'000,
                       .max_bytes = fields.uint64("maxBytes"),
                       .sidecar = fields.boolean("sidecar"),
                       .queue_bytes = fields.uint64("queueBytes")};
  arguments.listener = function_argument(info, 2, "listener");
  return new_instance<RecordingWrap>(info.Env(), std::move(arguments));
}

const Module kModule{[](Napi::Env env, Napi::Object exports) {
  register_class<RecordingWrap>(env, RecordingWrap::define(env));
  exports.Set("createRecording", Napi::Function::New(env, &create_recording, "createRecording"));
}};

}  // namespace
}  // namespace framebus::binding
