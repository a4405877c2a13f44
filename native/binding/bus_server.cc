#include "bus_server.h"

#include <utility>

#include "convert.h"
#include "module.h"

namespace framebus::binding {
namespace {

constexpr size_t kEventQueue = 4096;

Napi::Value event_to_js(Napi::Env env, BusServerEvent& event) {
  Napi::Object object = Napi::Object::New(env);
  switch (event.type) {
    case BusServerEvent::Type::kAttached:
      object.Set("type", "attached");
      object.Set("consumer", event.consumer);
      object.Set("group", event.group);
      object.Set("peerUid", event.peer_uid);
      break;
    case BusServerEvent::Type::kDetached: {
      object.Set("type", "detached");
      object.Set("consumer", event.consumer);
      object.Set("group", event.group);
      object.Set("reason", event.reason);
      Napi::Array held = Napi::Array::New(env, event.held.size());
      for (uint32_t i = 0; i < event.held.size(); ++i) {
        Napi::Object frame = Napi::Object::New(env);
        frame.Set("epoch", event.held[i].epoch);
        frame.Set("slot", event.held[i].slot);
        frame.Set("generation", bigint(env, event.held[i].generation));
        held.Set(i, frame);
      }
      object.Set("held", held);
      break;
    }
    case BusServerEvent::Type::kRefused:
      object.Set("type", "refused");
      object.Set("peerUid", event.peer_uid);
      object.Set("reason", event.reason);
      break;
  }
  return object;
}

Napi::Value create_bus_server(const Napi::CallbackInfo& info) {
  const Fields fields(info, 0, "options");
  BusServerArguments arguments;
  arguments.options.directory = fields.string("directory");
  arguments.options.producer = fields.string("producer");
  arguments.options.allow_uids = fields.uint32s("allowUids");
  arguments.options.allow_gids = fields.uint32s("allowGids");
  arguments.options.token = fields.string("token");
  arguments.options.lease_deadline_ms = fields.uint32("leaseDeadlineMs");
  arguments.listener = function_argument(info, 1, "listener");
  return new_instance<BusServerWrap>(info.Env(), std::move(arguments));
}

}  // namespace

Napi::Function BusServerWrap::define(Napi::Env env) {
  return DefineClass(env, "BusServer",
                     {InstanceMethod<&BusServerWrap::consumers>("consumers"),
                      InstanceMethod<&BusServerWrap::close>("close")});
}

BusServerWrap::BusServerWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<BusServerWrap>(info) {
  const auto arguments = take_arguments<BusServerArguments>(info);
  channel_ = std::make_shared<EventChannel<BusServerEvent>>(arguments.listener, "framebus server",
                                                            kEventQueue, &event_to_js);
  try {
    server_ = guarded(info.Env(), [&] {
      return BusServer::create(arguments.options, [channel = channel_](BusServerEvent event) {
        channel->post(std::move(event));
      });
    });
  } catch (...) {
    channel_->close();
    throw;
  }
  Ref();  // Open servers are not garbage, whoever forgets them.
}

Napi::Value BusServerWrap::consumers(const Napi::CallbackInfo& info) {
  Napi::Object object = Napi::Object::New(info.Env());
  for (const auto& [group, count] : server_->consumers()) object.Set(group, count);
  return object;
}

Napi::Value BusServerWrap::close(const Napi::CallbackInfo& info) {
  if (std::exchange(open_, false)) Unref();
  return run_async<bool>(
      info.Env(), "framebus server close",
      [server = server_] {
        server->close();
        return true;
      },
      [channel = channel_](Napi::Env env, bool&) {
        channel->close();
        return env.Undefined();
      });
}

static const Module kModule{[](Napi::Env env, Napi::Object exports) {
  register_class<BusServerWrap>(env, BusServerWrap::define(env));
  exports.Set("createBusServer", Napi::Function::New(env, &create_bus_server, "createBusServer"));
}};

}  // namespace framebus::binding
