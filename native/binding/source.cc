// createSource and Source of contract.ts.
#include "core/source.h"

#include <napi.h>

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "async.h"
#include "bus_server.h"
#include "convert.h"
#include "delivery.h"
#include "module.h"

namespace framebus::binding {
namespace {

// A minute of video; when Node lags behind by more, decoding waits.
constexpr size_t kEventQueue = 2048;

void fill(Napi::Env env, Napi::Object& object, const EpochEvent& event) {
  object.Set("type", "epoch");
  object.Set("epoch", event.epoch);
  object.Set("createdUnixNs", bigint(env, event.created_unix_ns));
  object.Set("format", frame_format_to_js(env, event.format));
  object.Set("memory", memory_kind_name(event.memory));
  object.Set("slots", event.slots);
  object.Set("decoder", event.decoder);
}

const char* name_of(CaptureSource source) {
  switch (source) {
    case CaptureSource::kRtcpSr:
      return "rtcp_sr";
    case CaptureSource::kArrival:
      return "arrival";
    case CaptureSource::kFile:
      break;
  }
  return "file";
}

void fill(Napi::Env env, Napi::Object& object, const FrameEvent& event) {
  object.Set("type", "frame");
  object.Set("epoch", event.epoch);
  object.Set("slot", event.slot);
  object.Set("generation", bigint(env, event.generation));
  object.Set("seq", bigint(env, event.seq));
  object.Set("ptsNs", bigint(env, event.pts_ns));
  object.Set("captureUnixNs", bigint(env, event.capture_unix_ns));
  object.Set("captureSource", name_of(event.capture_source));
  object.Set("captureUncertaintyNs", bigint(env, event.capture_uncertainty_ns));
  object.Set("decodedMonotonicNs", bigint(env, event.decoded_monotonic_ns));
}

void fill(Napi::Env env, Napi::Object& object, const DropEvent& event) {
  object.Set("type", "drop");
  object.Set("reason", "pool_exhausted");
  object.Set("seq", bigint(env, event.seq));
}

void fill(Napi::Env, Napi::Object& object, const WarningEvent& event) {
  object.Set("type", "warning");
  object.Set("code", event.code);
  object.Set("message", event.message);
}

void fill(Napi::Env, Napi::Object& object, const EndEvent&) { object.Set("type", "end"); }

void fill(Napi::Env, Napi::Object& object, const ErrorEvent& event) {
  object.Set("type", "error");
  object.Set("code", event.code);
  object.Set("message", event.message);
  object.Set("retryable", event.retryable);
}

Napi::Value event_to_js(Napi::Env env, SourceEvent& event) {
  Napi::Object object = Napi::Object::New(env);
  std::visit([&](const auto& each) { fill(env, object, each); }, event);
  return object;
}

std::optional<SourceMode> mode_of(const std::string& name) {
  if (name == "latest") return SourceMode::kLatest;
  if (name == "lossless") return SourceMode::kLossless;
  return std::nullopt;
}

SourceOptions options_from_js(const Fields& fields) {
  SourceOptions options;
  options.stream_id = fields.string("streamId");
  options.uri = fields.string("uri");
  options.loop = fields.boolean("loop");
  options.realtime = fields.boolean("realtime");
  options.mode = mode_of(fields.string("mode")).value_or(SourceMode::kLatest);
  if (!mode_of(fields.string("mode"))) fields.fail("mode", "'latest' or 'lossless'");
  options.slots = fields.uint32("slots");
  if (options.slots == 0) fields.fail("slots", "at least 1");
  options.memory = fields.memory("memory");
  options.groups = route_groups(fields, "groups");
  options.decoder_threads = fields.uint32("decoderThreads");
  const std::string transport = fields.string("rtspTransport");
  if (transport != "tcp" && transport != "udp") fields.fail("rtspTransport", "'tcp' or 'udp'");
  options.rtsp_transport = transport == "tcp" ? RtspTransport::kTcp : RtspTransport::kUdp;
  options.no_frame_timeout_ms = fields.uint32("noFrameTimeoutMs");
  return options;
}

struct SourceArguments {
  SourceOptions options;
  std::shared_ptr<BusServer> server;
  Napi::Function listener;
};

class SourceWrap : public Napi::ObjectWrap<SourceWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Source",
        {InstanceMethod<&SourceWrap::start>("start"),
         InstanceMethod<&SourceWrap::end_delivery>("endDelivery"),
         InstanceMethod<&SourceWrap::delivery>("delivery"),
         InstanceMethod<&SourceWrap::open_group>("openGroup"),
         InstanceMethod<&SourceWrap::close_group>("closeGroup"),
         InstanceMethod<&SourceWrap::set_mode>("setMode"),
         InstanceMethod<&SourceWrap::stats>("stats"), InstanceMethod<&SourceWrap::close>("close")});
  }

  explicit SourceWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SourceWrap>(info) {
    auto arguments = take_arguments<SourceArguments>(info);
    channel_ = std::make_shared<EventChannel<SourceEvent>>(arguments.listener, "framebus source",
                                                           kEventQueue, &event_to_js);
    source_ = std::make_shared<Source>(
        std::move(arguments.options),
        [server = std::move(arguments.server)](const std::shared_ptr<FramePool>& pool) {
          server->add_pool(pool);
        },
        [channel = channel_](const SourceEvent& event) { return channel->post(event); });
    Ref();  // Open sources are not garbage, whoever forgets them.
  }

 private:
  void start(const Napi::CallbackInfo&) { source_->start(); }

  Napi::Value end_delivery(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      return to_js(info.Env(), source_->end_delivery(string_argument(info, 0, "epoch"),
                                                     uint32_argument(info, 1, "slot"),
                                                     uint64_argument(info, 2, "generation"),
                                                     string_argument(info, 3, "group")));
    });
  }

  Napi::Value delivery(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      return to_js(info.Env(), source_->delivery(string_argument(info, 0, "epoch"),
                                                 uint32_argument(info, 1, "slot"),
                                                 uint64_argument(info, 2, "generation"),
                                                 string_argument(info, 3, "group")));
    });
  }

  void open_group(const Napi::CallbackInfo& info) {
    const RouteGroup group = route_group_from_js(Fields(info, 0, "group"));
    guarded(info.Env(), [&] { source_->open_group(group); });
  }

  void close_group(const Napi::CallbackInfo& info) {
    source_->close_group(string_argument(info, 0, "group"));
  }

  void set_mode(const Napi::CallbackInfo& info) {
    const std::optional<SourceMode> mode = mode_of(string_argument(info, 0, "mode"));
    if (!mode) {
      throw make_error(info.Env(), "BAD_ARGUMENT", "Expected 'latest' or 'lossless' for mode");
    }
    source_->set_mode(*mode);
  }

  Napi::Value stats(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const SourceStats stats = source_->stats();
    Napi::Object object = Napi::Object::New(env);
    object.Set("framesDecoded", bigint(env, stats.frames_decoded));
    object.Set("framesDirect", bigint(env, stats.frames_direct));
    object.Set("framesCopied", bigint(env, stats.frames_copied));
    object.Set("framesDropped", bigint(env, stats.frames_dropped));
    object.Set("slotsFree", stats.slots_free);
    object.Set("slotsWriting", stats.slots_writing);
    object.Set("slotsPublished", stats.slots_published);
    return object;
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    if (std::exchange(open_, false)) Unref();
    return run_async<bool>(
        info.Env(), "framebus source close",
        [source = source_] {
          source->stop();
          return true;
        },
        [channel = channel_](Napi::Env env, bool&) {
          channel->close();
          return env.Undefined();
        });
  }

  std::shared_ptr<EventChannel<SourceEvent>> channel_;
  std::shared_ptr<Source> source_;
  bool open_ = true;
};

Napi::Value create_source(const Napi::CallbackInfo& info) {
  SourceArguments arguments;
  arguments.server = unwrap<BusServerWrap>(info[0], "server")->server();
  arguments.options = options_from_js(Fields(info, 1, "options"));
  arguments.listener = function_argument(info, 2, "listener");
  return new_instance<SourceWrap>(info.Env(), std::move(arguments));
}

const Module kModule{[](Napi::Env env, Napi::Object exports) {
  register_class<SourceWrap>(env, SourceWrap::define(env));
  exports.Set("createSource", Napi::Function::New(env, &create_source, "createSource"));
}};

}  // namespace
}  // namespace framebus::binding
