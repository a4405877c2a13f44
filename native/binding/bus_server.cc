#include "bus_server.h"

#include <cstdint>
#include <utility>
#include <vector>

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
      object.Set("revoked", event.revoked);
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

Napi::Object group_to_js(Napi::Env env, const GroupState& state) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", state.group.name);
  object.Set("hold", state.group.hold);
  object.Set("delivered", bigint(env, state.delivered));
  object.Set("missed", bigint(env, state.missed));
  return object;
}

Napi::Object consumer_to_js(Napi::Env env, const ConsumerState& state) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("consumer", state.consumer);
  object.Set("group", state.group);
  object.Set("peerUid", state.peer_uid);
  object.Set("hold", state.hold);
  // What a consumer says of itself may be nonsense; a number it is.
  object.Set("held", static_cast<double>(state.counts.held));
  object.Set("heldMost", static_cast<double>(state.counts.held_most));
  object.Set("delivered", bigint(env, state.counts.delivered));
  object.Set("stale", bigint(env, state.counts.stale));
  object.Set("quota", bigint(env, state.counts.quota));
  object.Set("displaced", bigint(env, state.counts.displaced));
  object.Set("revoked", bigint(env, state.revoked));
  return object;
}

template <class State>
Napi::Array array_to_js(Napi::Env env, const std::vector<State>& states,
                        Napi::Object (*to_js)(Napi::Env, const State&)) {
  Napi::Array array = Napi::Array::New(env, states.size());
  for (uint32_t i = 0; i < states.size(); ++i) array.Set(i, to_js(env, states[i]));
  return array;
}

Napi::Object pool_to_js(Napi::Env env, const PoolState& state) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("streamId", state.stream_id);
  object.Set("epoch", state.epoch);
  object.Set("memory", memory_kind_name(state.memory));
  object.Set("width", state.width);
  object.Set("height", state.height);
  object.Set("slots", state.slots);
  object.Set("capacity", state.capacity);
  object.Set("free", state.counts.free);
  object.Set("writing", state.counts.writing);
  object.Set("published", state.counts.published);
  object.Set("retired", state.retired);
  object.Set("framesPublished", bigint(env, state.frames_published));
  object.Set("framesDisplaced", bigint(env, state.frames_displaced));
  object.Set("groups", array_to_js(env, state.groups, &group_to_js));
  object.Set("consumers", array_to_js(env, state.consumers, &consumer_to_js));
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
                      InstanceMethod<&BusServerWrap::pools>("pools"),
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

Napi::Value BusServerWrap::pools(const Napi::CallbackInfo& info) {
  return array_to_js(info.Env(), server_->pools(), &pool_to_js);
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
