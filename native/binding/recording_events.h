// RecordingEvent and RecordingStats of contract_recording.ts.
#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "async.h"
#include "core/recording.h"

namespace framebus::binding {

// An event a group of pictures at most, and a failure or a resumption a second.
constexpr size_t kRecordingEventQueue = 256;

struct RecordingEvent {
  enum class Type { kDropped, kFailed, kBegun, kResumed };
  Type type = Type::kDropped;
  std::string code;
  std::string message;
  std::string file;
};

Napi::Value recording_event_to_js(Napi::Env env, RecordingEvent& event);

Napi::Value recording_stats_to_js(Napi::Env env, const RecordingStats& stats);

// Core's events, posted to JavaScript.
class PostingRecording : public RecordingMonitor {
 public:
  explicit PostingRecording(std::shared_ptr<EventChannel<RecordingEvent>> channel);
  void on_dropped() override;
  void on_failed(const std::string& code, const std::string& message) override;
  void on_begun(const std::string& file) override;
  void on_resumed(const std::string& file) override;

 private:
  const std::shared_ptr<EventChannel<RecordingEvent>> channel_;
};

}  // namespace framebus::binding
