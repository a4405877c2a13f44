#include "output.h"

#include <chrono>
#include <optional>
#include <utility>

#include "convert.h"
#include "core/lease_table.h"
#include "encode.h"
#include "module.h"

namespace framebus::binding {
namespace {

// A queued frame makes one event; the queue of the output bounds them.
constexpr size_t kEventQueue = 16'384;
// Unlimited here: the viewer itself is ended by its limit of bytes.
constexpr size_t kViewerQueue = 0;

Napi::Value output_event_to_js(Napi::Env env, OutputEvent& event) {
  Napi::Object object = Napi::Object::New(env);
  switch (event.type) {
    case OutputEvent::Type::kEncoded:
      object.Set("type", "encoded");
      object.Set("seq", bigint(env, event.seq));
      object.Set("keyframe", event.keyframe);
      object.Set("bytes", static_cast<double>(event.bytes));
      object.Set("monotonicNs", bigint(env, event.monotonic_ns));
      break;
    case OutputEvent::Type::kDropped:
      object.Set("type", "dropped");
      object.Set("seq", bigint(env, event.seq));
      object.Set("reason", event.reason);
      break;
    case OutputEvent::Type::kError:
      object.Set("type", "error");
      object.Set("code", event.reason);
      object.Set("message", event.message);
      break;
  }
  return object;
}

Napi::Value bytes_to_js(Napi::Env env, const std::vector<uint8_t>& bytes) {
  Napi::Uint8Array array = Napi::Uint8Array::New(env, bytes.size());
  std::copy(bytes.begin(), bytes.end(), array.Data());
  return array;
}

Napi::Value snapshot_to_js(Napi::Env env, std::optional<Snapshot>& snapshot) {
  if (!snapshot) return env.Null();
  Napi::Object object = Napi::Object::New(env);
  object.Set("seq", bigint(env, snapshot->seq));
  object.Set("jpeg", bytes_to_js(env, snapshot->jpeg));
  return object;
}

Napi::Value viewer_event_to_js(Napi::Env env, ViewerEvent& event) {
  Napi::Object object = Napi::Object::New(env);
  if (event.end) {
    object.Set("type", "end");
    object.Set("reason", event.reason);
  } else {
    object.Set("type", "data");
    object.Set("init", event.init);
    object.Set("data", bytes_to_js(env, event.data));
  }
  return object;
}

// Core's events, posted to JavaScript.
class PostingListener : public OutputListener {
 public:
  explicit PostingListener(std::shared_ptr<EventChannel<OutputEvent>> channel)
      : channel_(std::move(channel)) {}
  void on_encoded(const AccessUnit& unit, int64_t monotonic_ns) override {
    channel_->post({.type = OutputEvent::Type::kEncoded,
                    .seq = unit.seq,
                    .keyframe = unit.keyframe,
                    .bytes = unit.bytes,
                    .monotonic_ns = monotonic_ns,
                    .reason = {},
                    .message = {}});
  }
  void on_dropped(uint64_t seq, const char* reason) override {
    OutputEvent event{
        .type = OutputEvent::Type::kDropped, .seq = seq, .reason = reason, .message = {}};
    channel_->post(std::move(event));
  }
  void on_error(const char* code, const std::string& message) override {
    channel_->post({.type = OutputEvent::Type::kError, .reason = code, .message = message});
  }

 private:
  const std::shared_ptr<EventChannel<OutputEvent>> channel_;
};

class PostingViewer : public ViewerListener {
 public:
  explicit PostingViewer(std::shared_ptr<EventChannel<ViewerEvent>> channel)
      : channel_(std::move(channel)) {}
  void on_data(bool init, std::vector<uint8_t> data) override {
    channel_->post({.end = false, .init = init, .data = std::move(data), .reason = {}});
  }
  void on_end(const std::string& reason) override {
    channel_->post({.end = true, .init = false, .data = {}, .reason = reason});
  }

 private:
  const std::shared_ptr<EventChannel<ViewerEvent>> channel_;
};

// The numbers of a typed array, copied.
template <class Number>
std::vector<Number> typed_numbers(const Fields& fields, const char* key, napi_typedarray_type type,
                                  const char* expected) {
  const Napi::Value value = fields.value(key);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    fields.fail(key, expected);
  }
  const auto array = value.As<Napi::TypedArrayOf<Number>>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

OverlayMask mask_from_js(const Fields& fields) {
  return {.x = fields.number("x"),
          .y = fields.number("y"),
          .width = fields.number("width"),
          .height = fields.number("height"),
          .columns = fields.uint32("columns"),
          .rows = fields.uint32("rows"),
          .runs = typed_numbers<uint32_t>(fields, "runs", napi_uint32_array, "Uint32Array"),
          .label = fields.string("label"),
          .color = fields.uint32("color")};
}

OverlayPoints points_from_js(const Fields& fields) {
  return {.xy = typed_numbers<float>(fields, "xy", napi_float32_array, "Float32Array"),
          .color = fields.uint32("color")};
}

OverlayConcealed concealed_from_js(const Fields& fields) {
  const std::string with = fields.string("with");
  if (with != "blur" && with != "fill") fields.fail("with", "'blur' or 'fill'");
  return {.x = fields.number("x"),
          .y = fields.number("y"),
          .width = fields.number("width"),
          .height = fields.number("height"),
          .with = with == "blur" ? OverlayConcealed::With::kBlur : OverlayConcealed::With::kFill};
}

OverlayLine line_from_js(const Fields& fields) {
  return {.xy = typed_numbers<float>(fields, "xy", napi_float32_array, "Float32Array"),
          .color = fields.uint32("color"),
          .fades = fields.boolean("fades")};
}

OverlayText text_from_js(const Fields& fields) {
  return {.x = fields.number("x"),
          .y = fields.number("y"),
          .text = fields.string("text"),
          .color = fields.uint32("color")};
}

OverlayBox box_from_js(const Fields& fields) {
  return {.x = fields.number("x"),
          .y = fields.number("y"),
          .width = fields.number("width"),
          .height = fields.number("height"),
          .label = fields.string("label"),
          .color = fields.uint32("color"),
          .part = fields.boolean("part")};
}

template <class Item>
std::vector<Item> items_from_js(const Fields& overlay, const char* key,
                                Item (*convert)(const Fields&)) {
  const Napi::Value value = overlay.value(key);
  if (!value.IsArray()) overlay.fail(key, "array");
  const auto array = value.As<Napi::Array>();
  std::vector<Item> items;
  items.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const std::string path = overlay.path() + "." + key + "[" + std::to_string(i) + "]";
    items.push_back(convert(Fields(array.Get(i), path)));
  }
  return items;
}

Overlay overlay_from_js(const Fields& fields) {
  return {.concealed = items_from_js(fields, "concealed", &concealed_from_js),
          .masks = items_from_js(fields, "masks", &mask_from_js),
          .lines = items_from_js(fields, "lines", &line_from_js),
          .points = items_from_js(fields, "points", &points_from_js),
          .boxes = items_from_js(fields, "boxes", &box_from_js),
          .texts = items_from_js(fields, "texts", &text_from_js),
          .line_width = fields.uint32("lineWidth"),
          .font_px = fields.uint32("fontSize")};
}

Napi::Value create_output(const Napi::CallbackInfo& info) {
  const Fields fields(info, 0, "options");
  OutputArguments arguments;
  arguments.options = {
      .stream_id = fields.string("streamId"),
      .format = frame_format_from_js(fields.object("format")),
      .encode = encode_options_from_js(fields.object("encode")),
      .queue = fields.uint32("queue"),
      .yielding = !fields.value("yielding").IsUndefined() && fields.boolean("yielding"),
      .width = fields.value("width").IsUndefined() ? 0 : fields.uint32("width")};
  arguments.listener = function_argument(info, 1, "listener");
  return new_instance<OutputWrap>(info.Env(), std::move(arguments));
}

}  // namespace

Napi::Function OutputWrap::define(Napi::Env env) {
  return DefineClass(
      env, "Output",
      {InstanceMethod<&OutputWrap::push>("push"), InstanceMethod<&OutputWrap::snapshot>("snapshot"),
       InstanceMethod<&OutputWrap::capture_next>("captureNext"),
       InstanceMethod<&OutputWrap::open_viewer>("openViewer"),
       InstanceMethod<&OutputWrap::close>("close")});
}

OutputWrap::OutputWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<OutputWrap>(info) {
  auto arguments = take_arguments<OutputArguments>(info);
  channel_ = std::make_shared<EventChannel<OutputEvent>>(arguments.listener, "framebus output",
                                                         kEventQueue, &output_event_to_js);
  try {
    output_ = guarded(info.Env(), [&] {
      return std::make_shared<Output>(std::move(arguments.options),
                                      std::make_shared<PostingListener>(channel_));
    });
  } catch (...) {
    channel_->close();
    throw;
  }
  Ref();  // Open outputs are not garbage, whoever forgets them.
}

Napi::Value OutputWrap::push(const Napi::CallbackInfo& info) {
  const double id = number_argument(info, 0, "leaseId");
  const uint64_t seq = uint64_argument(info, 1, "seq");
  const int64_t pts_ns = int64_argument(info, 2, "ptsNs");
  Overlay overlay = overlay_from_js(Fields(info, 3, "overlay"));
  std::shared_ptr<Lease> lease = id >= 1 ? lease_table().find(static_cast<uint64_t>(id)) : nullptr;
  if (lease == nullptr) {
    throw make_error(info.Env(), "FRAME_RELEASED",
                     "output " + output_->options().stream_id + ": lease " +
                         std::to_string(static_cast<uint64_t>(id)) +
                         " was released; push before releasing it");
  }
  const Output::Push pushed = guarded(
      info.Env(), [&] { return output_->push(std::move(lease), seq, pts_ns, std::move(overlay)); });
  return Napi::String::New(info.Env(), pushed == Output::Push::kQueued ? "queued" : "full");
}

Napi::Value OutputWrap::snapshot(const Napi::CallbackInfo& info) {
  const auto quality = static_cast<int>(uint32_argument(info, 0, "quality"));
  using Result = std::optional<Snapshot>;
  return run_async<Result>(
      info.Env(), "framebus snapshot",
      [output = output_, quality] { return output->snapshot(quality); }, &snapshot_to_js);
}

Napi::Value OutputWrap::capture_next(const Napi::CallbackInfo& info) {
  const Fields options(info, 0, "options");
  const auto quality = static_cast<int>(options.uint32("quality"));
  const std::chrono::milliseconds timeout(options.uint32("timeoutMs"));
  // Before anything else is pushed.
  auto capture = output_->capture_next(options.boolean("drawn"));
  return run_async<std::optional<Snapshot>>(
      info.Env(), "framebus capture",
      [output = output_, capture = std::move(capture), quality, timeout] {
        return output->take(*capture, quality, timeout);
      },
      &snapshot_to_js);
}

Napi::Value OutputWrap::open_viewer(const Napi::CallbackInfo& info) {
  return new_instance<ViewerWrap>(info.Env(),
                                  ViewerArguments{output_, function_argument(info, 0, "listener")});
}

Napi::Value OutputWrap::close(const Napi::CallbackInfo& info) {
  if (std::exchange(open_, false)) Unref();
  return run_async<bool>(
      info.Env(), "framebus output close",
      [output = output_] {
        output->close();
        return true;
      },
      [channel = channel_](Napi::Env env, bool&) {
        channel->close();
        return env.Undefined();
      });
}

Napi::Function ViewerWrap::define(Napi::Env env) {
  return DefineClass(env, "Viewer",
                     {InstanceMethod<&ViewerWrap::acknowledge>("acknowledge"),
                      InstanceMethod<&ViewerWrap::close>("close")});
}

ViewerWrap::ViewerWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ViewerWrap>(info) {
  auto arguments = take_arguments<ViewerArguments>(info);
  channel_ = std::make_shared<EventChannel<ViewerEvent>>(arguments.listener, "framebus viewer",
                                                         kViewerQueue, &viewer_event_to_js);
  try {
    viewer_ = guarded(info.Env(), [&] {
      return Viewer::open(arguments.output, std::make_shared<PostingViewer>(channel_));
    });
  } catch (...) {
    channel_->close();
    throw;
  }
  Ref();
}

ViewerWrap::~ViewerWrap() { channel_->close(); }

void ViewerWrap::acknowledge(const Napi::CallbackInfo& info) {
  const double bytes = number_argument(info, 0, "bytes");
  if (bytes > 0) viewer_->acknowledge(static_cast<uint64_t>(bytes));
}

// The listener is silent at once; the muxer's threads are ended on another one.
void ViewerWrap::close(const Napi::CallbackInfo& info) {
  channel_->close();
  if (!std::exchange(open_, false)) return;
  Unref();
  run_async(info.Env(), "framebus viewer close", [viewer = viewer_] { viewer->close(); });
}

static const Module kModule{[](Napi::Env env, Napi::Object exports) {
  register_class<OutputWrap>(env, OutputWrap::define(env));
  register_class<ViewerWrap>(env, ViewerWrap::define(env));
  exports.Set("createOutput", Napi::Function::New(env, &create_output, "createOutput"));
}};

}  // namespace framebus::binding
