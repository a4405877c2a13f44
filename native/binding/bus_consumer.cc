// BusConsumer of contract.ts.
#include "core/bus_consumer.h"

#include <napi.h>

#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "async.h"
#include "convert.h"
#include "frame_lease.h"
#include "module.h"

namespace framebus::binding {
namespace {

constexpr size_t kEventQueue = 1024;

struct LeakedEvent {
  std::string epoch;
  uint32_t slot = 0;
  uint64_t generation = 0;
};
using ConsumerEvent = std::variant<DetachedEvent, LeakedEvent>;
using Channel = EventChannel<ConsumerEvent>;

Napi::Value event_to_js(Napi::Env env, ConsumerEvent& event) {
  Napi::Object object = Napi::Object::New(env);
  if (const auto* detached = std::get_if<DetachedEvent>(&event)) {
    object.Set("type", detached->revoked ? "revoked" : "detached");
    object.Set("producer", detached->producer);
    object.Set("reason", detached->reason);
  } else {
    const auto& leaked = std::get<LeakedEvent>(event);
    object.Set("type", "leaked");
    object.Set("epoch", leaked.epoch);
    object.Set("slot", leaked.slot);
    object.Set("generation", bigint(env, leaked.generation));
  }
  return object;
}

const char* refusal_text(LeaseRefusal refusal) {
  switch (refusal) {
    case LeaseRefusal::kStale:
      return "stale";
    case LeaseRefusal::kUnattached:
      return "unattached";
    case LeaseRefusal::kQuota:
      return "quota";
  }
  return "stale";
}

struct BusConsumerArguments {
  BusConsumerOptions options;
  Napi::Function listener;
};

class BusConsumerWrap : public Napi::ObjectWrap<BusConsumerWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit BusConsumerWrap(const Napi::CallbackInfo& info);

 private:
  Napi::Value attach(const Napi::CallbackInfo& info);
  Napi::Value lease(const Napi::CallbackInfo& info);
  Napi::Value held(const Napi::CallbackInfo& info);
  Napi::Value hold(const Napi::CallbackInfo& info);
  void count_displaced(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<Channel> channel_;
  std::shared_ptr<BusConsumer> consumer_;
  bool open_ = true;
};

Napi::Function BusConsumerWrap::define(Napi::Env env) {
  return DefineClass(env, "BusConsumer",
                     {InstanceMethod<&BusConsumerWrap::attach>("attach"),
                      InstanceMethod<&BusConsumerWrap::lease>("lease"),
                      InstanceMethod<&BusConsumerWrap::held>("held"),
                      InstanceMethod<&BusConsumerWrap::hold>("hold"),
                      InstanceMethod<&BusConsumerWrap::count_displaced>("countDisplaced"),
                      InstanceMethod<&BusConsumerWrap::close>("close")});
}

BusConsumerWrap::BusConsumerWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<BusConsumerWrap>(info) {
  const auto arguments = take_arguments<BusConsumerArguments>(info);
  channel_ =
      std::make_shared<Channel>(arguments.listener, "framebus consumer", kEventQueue, &event_to_js);
  try {
    consumer_ = guarded(info.Env(), [&] {
      return BusConsumer::create(arguments.options, [channel = channel_](DetachedEvent event) {
        channel->post(std::move(event));
      });
    });
  } catch (...) {
    channel_->close();
    throw;
  }
  Ref();  // Open consumers are not garbage, whoever forgets them.
}

Napi::Value BusConsumerWrap::attach(const Napi::CallbackInfo& info) {
  return run_async(
      info.Env(), "framebus attach",
      [consumer = consumer_, producer = string_argument(info, 0, "producer"),
       epoch = string_argument(info, 1, "epoch")] { consumer->attach(producer, epoch); });
}

Napi::Value BusConsumerWrap::lease(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string epoch = string_argument(info, 0, "epoch");
  const uint32_t slot = uint32_argument(info, 1, "slot");
  const uint64_t generation = uint64_argument(info, 2, "generation");
  auto result = consumer_->lease(epoch, slot, generation);
  if (const auto* refusal = std::get_if<LeaseRefusal>(&result)) {
    return Napi::String::New(env, refusal_text(*refusal));
  }
  FrameLeaseArguments arguments;
  arguments.lease = std::move(std::get<std::shared_ptr<SlotLease>>(result));
  arguments.on_leak = [channel = channel_](const SlotLease& leaked) {
    channel->post(LeakedEvent{leaked.epoch(), leaked.slot(), leaked.generation()});
  };
  return new_instance<FrameLeaseWrap>(env, std::move(arguments));
}

Napi::Value BusConsumerWrap::held(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), consumer_->held());
}

Napi::Value BusConsumerWrap::hold(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), consumer_->hold(string_argument(info, 0, "epoch")));
}

void BusConsumerWrap::count_displaced(const Napi::CallbackInfo& info) {
  const std::string epoch = string_argument(info, 0, "epoch");
  consumer_->count_displaced(epoch, uint32_argument(info, 1, "frames"));
}

Napi::Value BusConsumerWrap::close(const Napi::CallbackInfo& info) {
  if (std::exchange(open_, false)) Unref();
  return run_async<bool>(
      info.Env(), "framebus consumer close",
      [consumer = consumer_] {
        consumer->close();
        return true;
      },
      [channel = channel_](Napi::Env env, bool&) {
        channel->close();
        return env.Undefined();
      });
}

Napi::Value create_bus_consumer(const Napi::CallbackInfo& info) {
  const Fields fields(info, 0, "options");
  BusConsumerArguments arguments;
  arguments.options.directory = fields.string("directory");
  arguments.options.name = fields.string("name");
  arguments.options.group = fields.string("group");
  arguments.options.max_held = fields.uint32("maxHeld");
  arguments.options.hold = fields.uint32("hold");
  arguments.options.min_hold = fields.uint32("minHold");
  arguments.options.token = fields.string("token");
  arguments.listener = function_argument(info, 1, "listener");
  return new_instance<BusConsumerWrap>(info.Env(), std::move(arguments));
}

const Module kModule{[](Napi::Env env, Napi::Object exports) {
  register_class<BusConsumerWrap>(env, BusConsumerWrap::define(env));
  exports.Set("createBusConsumer",
              Napi::Function::New(env, &create_bus_consumer, "createBusConsumer"));
}};

}  // namespace
}  // namespace framebus::binding
