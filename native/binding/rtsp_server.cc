// RtspServer of contract.ts.
#include "core/rtsp_server.h"

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

struct RtspServerArguments {
  RtspServerOptions options;
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
    server_ = guarded(info.Env(), [&] { return std::make_shared<RtspServer>(arguments.options); });
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
    return run_async(info.Env(), "framebus rtsp close", [server = server_] { server->close(); });
  }

  std::shared_ptr<RtspServer> server_;
  bool open_ = true;
};

Napi::Value create_rtsp_server(const Napi::CallbackInfo& info) {
  const Fields fields(info, 0, "options");
  const uint32_t port = fields.uint32("port");
  if (port > 65'535) fields.fail("port", "port number 0 … 65535");
  RtspServerArguments arguments;
  arguments.options = {.host = fields.string("host"),
                       .port = static_cast<uint16_t>(port),
                       .max_clients = fields.uint32("maxClients")};
  return new_instance<RtspServerWrap>(info.Env(), std::move(arguments));
}

const Module kModule{[](Napi::Env env, Napi::Object exports) {
  register_class<RtspServerWrap>(env, RtspServerWrap::define(env));
  exports.Set("createRtspServer",
              Napi::Function::New(env, &create_rtsp_server, "createRtspServer"));
}};

}  // namespace
}  // namespace framebus::binding
