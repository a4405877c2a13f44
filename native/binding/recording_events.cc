#include "recording_events.h"

#include <utility>

namespace framebus::binding {

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
    case RecordingEvent::Type::kBegun:
      object.Set("type", "begun");
      object.Set("file", event.file);
      break;
    case RecordingEvent::Type::kResumed:
      object.Set("type", "resumed");
      object.Set("file", event.file);
      break;
  }
  return object;
}

Napi::Value recording_stats_to_js(Napi::Env env, const RecordingStats& stats) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("segments", static_cast<double>(stats.segments));
  object.Set("bytes", static_cast<double>(stats.bytes));
  object.Set("droppedGops", static_cast<double>(stats.dropped_gops));
  object.Set("failures", static_cast<double>(stats.failures));
  object.Set("file", stats.file.empty() ? env.Null() : Napi::String::New(env, stats.file));
  object.Set("queuedBytes", static_cast<double>(stats.queued_bytes));
  return object;
}

PostingRecording::PostingRecording(std::shared_ptr<EventChannel<RecordingEvent>> channel)
    : channel_(std::move(channel)) {}

void PostingRecording::on_dropped() { channel_->post({}); }

void PostingRecording::on_failed(const std::string& code, const std::string& message) {
  channel_->post(
      {.type = RecordingEvent::Type::kFailed, .code = code, .message = message, .file = {}});
}

void PostingRecording::on_begun(const std::string& file) {
  channel_->post({.type = RecordingEvent::Type::kBegun, .code = {}, .message = {}, .file = file});
}

void PostingRecording::on_resumed(const std::string& file) {
  channel_->post({.type = RecordingEvent::Type::kResumed, .code = {}, .message = {}, .file = file});
}

}  // namespace framebus::binding
