// Output and Viewer of contract.ts.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "async.h"
#include "core/output.h"
#include "core/viewer.h"

namespace framebus::binding {

struct OutputEvent {
  enum class Type { kEncoded, kDropped, kError };
  Type type = Type::kEncoded;
  uint64_t seq = 0;
  bool keyframe = false;
  size_t bytes = 0;
  int64_t monotonic_ns = 0;
  std::string reason;  // Of a drop; an error's code.
  std::string message;
};

struct ViewerEvent {
  bool end = false;
  bool init = false;
  std::vector<uint8_t> data;
  std::string reason;
};

struct OutputArguments {
  OutputOptions options;
  Napi::Function listener;
};

class OutputWrap : public Napi::ObjectWrap<OutputWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit OutputWrap(const Napi::CallbackInfo& info);

  // For RtspServer.mount.
  const std::shared_ptr<Output>& output() const { return output_; }

 private:
  Napi::Value push(const Napi::CallbackInfo& info);
  Napi::Value snapshot(const Napi::CallbackInfo& info);
  Napi::Value capture_next(const Napi::CallbackInfo& info);
  Napi::Value open_viewer(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<EventChannel<OutputEvent>> channel_;
  std::shared_ptr<Output> output_;
  bool open_ = true;
};

struct ViewerArguments {
  std::shared_ptr<Output> output;
  Napi::Function listener;
};

class ViewerWrap : public Napi::ObjectWrap<ViewerWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit ViewerWrap(const Napi::CallbackInfo& info);
  ~ViewerWrap() override;

 private:
  void acknowledge(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::shared_ptr<EventChannel<ViewerEvent>> channel_;
  std::shared_ptr<Viewer> viewer_;
  bool open_ = true;
};

}  // namespace framebus::binding
