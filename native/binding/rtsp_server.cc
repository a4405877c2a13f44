// RtspServer of contract.ts.
#include "core/rtsp_server.h"

#include <napi.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "async.h"
#include "convert.h"
#include "module.h"
#include "output.h"

namespace framebus::binding {
namespace {

// Drops and denials are rare, but strangers cause them: what is too many is lost.
constexpr size_t kEventQueue = 256;

struct RtspServerEvent {
  bool dropped = false;  // Otherwise denied.
  std::string peer;
  std::string path;
  RtspReaderFault fault = RtspReaderFault::kSlow;
};

Napi::Value event_to_js(Napi::Env env, RtspServerEvent& event) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("type", event.dropped ? "dropped" : "denied");
  object.Set("peer", event.peer);
  object.Set("path", event.path);
  if (event.dropped)
    object.Set("reason", event.fault == RtspReaderFault::kSlow ? "slow" : "silent");
  return object;
}

using RtspChannel = EventChannel<RtspServerEvent>;

class PostingListener : public RtspListener {
 public:
  explicit PostingListener(std::shared_ptr<RtspChannel> channel) : channel_(std::move(channel)) {}
  void on_dropped(const std::string& peer, const std::string& path,
                  RtspReaderFault fault) override {
    channel_->post({.dropped = true, .peer = peer, .path = path, .fault = fault});
  }
  void on_denied(const std::string& peer, const std::string& path) override {
    channel_->post({.dropped = false, .peer = peer, .path = path});
  }

 private:
  const std::shared_ptr<RtspChannel> channel_;
};

struct RtspServerArguments {
  RtspServerOptions options;
  Napi::Function listener;
};

class RtspServerWrap : public Napi::ObjectWrap<RtspServerWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "RtspServer",
                       {InstanceAccessor<&RtspServerWrap::port>("port"),
                        InstanceMethod<&RtspServerWrap::mount>("mount"),
                        InstanceMethod<&RtspServerWrap::unmount>("unmount"),
                        InstanceMethod<&RtspServerWrap::clients>("clients"),
                        InstanceMethod<&RtspServerWrap::close>("close")});
  }
  explicit RtspServerWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RtspServerWrap>(info) {
    const auto arguments = take_arguments<RtspServerArguments>(info);
    channel_ = std::make_shared<RtspChannel>(arguments.listener, "framebus rtsp server",
                                             kEventQueue, &event_to_js);
    try {
      server_ = guarded(info.Env(), [&] {
        return std::make_shared<RtspServer>(arguments.options,
                                            std::make_shared<PostingListener>(channel_));
      });
    } catch (...) {
      channel_->close();
      throw;
    }
    Ref();  // Open servers are not garbage, whoever forgets them.
  }

 private:
  Napi::Value port(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), server_->port());
  }
  void mount(const Napi::CallbackInfo& info) {
    const std::string path = string_argument(info, 0, "path");
    OutputWrap* output = unwrap<OutputWrap>(info[1], "output");
    guarded(info.Env(), [&] { server_->mount(path, output->output()); });
  }
  void unmount(const Napi::CallbackInfo& info) {
    server_->unmount(string_argument(info, 0, "path"));
  }
  Napi::Value clients(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), server_->clients());
  }
  Napi::Value close(const Napi::CallbackInfo& info) {
    if (std::exchange(open_, false)) Unref();
    channel_->close();
    return run_async(info.Env(), "framebus rtsp close", [server = server_] { server->close(); });
  }

  std::shared_ptr<RtspChannel> channel_;
  std::shared_ptr<RtspServer> server_;
  bool open_ = true;
};

std::vector<RtspUser> users_from_js(const Fields& fields) {
  const Napi::Value value = fields.value("users");
  if (!value.IsArray()) fields.fail("users", "array");
  const auto array = value.As<Napi::Array>();
  std::vector<RtspUser> users;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Fields user(array.Get(i), fields.path() + ".users[" + std::to_string(i) + "]");
    users.push_back({.name = user.string("name"),
                     .password = user.string("password"),
                     .mounts = user.strings("mounts")});
  }
  return users;
}

std::optional<RtspTls> tls_from_js(const Fields& fields) {
  if (fields.value("tls").IsNull()) return std::nullopt;
  const Fields tls = fields.object("tls");
  return RtspTls{.certificate_pem = tls.string("certificatePem"), .key_pem = tls.string("keyPem")};
}

Napi::Value create_rtsp_server(const Napi::CallbackInfo& info) {
  const Fields fields(info, 0, "options");
  const uint32_t port = fields.uint32("port");
  if (port > 65'535) fields.fail("port", "port number 0 … 65535");
  const std::vector<std::string> transports = fields.strings("transports");
  const auto has = [&transports](const char* name) {
    return std::find(transports.begin(), transports.end(), name) != transports.end();
  };
  if (!has("tcp") && !has("udp")) fields.fail("transports", "'tcp', 'udp' or both");
  RtspServerArguments arguments;
  arguments.options = {.host = fields.string("host"),
                       .port = static_cast<uint16_t>(port),
                       .max_clients = fields.uint32("maxClients"),
                       .tcp = has("tcp"),
                       .udp = has("udp"),
                       .session_timeout_ms = fields.uint32("sessionTimeoutMs"),
                       .users = users_from_js(fields),
                       .tls = tls_from_js(fields)};
  arguments.listener = function_argument(info, 1, "listener");
  return new_instance<RtspServerWrap>(info.Env(), std::move(arguments));
}

const Module kModule{[](Napi::Env env, Napi::Object exports) {
  register_class<RtspServerWrap>(env, RtspServerWrap::define(env));
  exports.Set("createRtspServer",
              Napi::Function::New(env, &create_rtsp_server, "createRtspServer"));
}};

}  // namespace
}  // namespace framebus::binding
