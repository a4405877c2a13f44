// ProducerPool and WritableSlot of contract.ts.
#include <napi.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "bus_server.h"
#include "convert.h"
#include "core/frame_pool.h"
#include "delivery.h"
#include "module.h"
#include "slot_buffer.h"

namespace framebus::binding {
namespace {

struct WritableSlotArguments {
  std::shared_ptr<FramePool> pool;
  uint32_t slot = 0;
};

class WritableSlotWrap : public Napi::ObjectWrap<WritableSlotWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "WritableSlot",
                       {InstanceAccessor<&WritableSlotWrap::slot>("slot"),
                        InstanceMethod<&WritableSlotWrap::planes>("planes"),
                        InstanceMethod<&WritableSlotWrap::publish>("publish"),
                        InstanceMethod<&WritableSlotWrap::discard>("discard")});
  }
  explicit WritableSlotWrap(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<WritableSlotWrap>(info) {
    auto arguments = take_arguments<WritableSlotArguments>(info);
    pool_ = std::move(arguments.pool);
    slot_ = arguments.slot;
  }
  // Collected before it was published: nobody can write to it any more.
  ~WritableSlotWrap() override { give_up(); }

 private:
  Napi::Value slot(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), slot_); }
  Napi::Value planes(const Napi::CallbackInfo& info) {
    const FramePoolOptions& options = writable(info.Env()).options();
    if (!std::exchange(writing_, true)) pool_->memory().begin_write(slot_);
    return buffer_.planes(info.This().As<Napi::Object>(), pool_->slot_data(slot_), options.format,
                          options.layout);
  }
  Napi::Value publish(const Napi::CallbackInfo& info) {
    FramePool& pool = writable(info.Env());
    end_writing();  // Before anybody can read it.
    const uint64_t generation = pool.publish(slot_);
    pool_.reset();
    return bigint(info.Env(), generation);
  }
  void discard(const Napi::CallbackInfo&) { give_up(); }
  void give_up() {
    if (pool_ == nullptr) return;
    try {
      end_writing();
    } catch (const Error&) {
      // What was written there is read by nobody.
    }
    pool_->discard(slot_);
    pool_.reset();
  }
  void end_writing() {
    buffer_.detach();
    if (std::exchange(writing_, false)) pool_->memory().end_write(slot_);
  }
  FramePool& writable(Napi::Env env) const {
    if (pool_ != nullptr) return *pool_;
    throw make_error(
        env, "FRAME_RELEASED",
        "slot " + std::to_string(slot_) + ": it was published or discarded; acquire another one");
  }

  std::shared_ptr<FramePool> pool_;  // Null when published or discarded.
  uint32_t slot_ = 0;
  bool writing_ = false;
  SlotBuffer buffer_;
};

struct ProducerPoolArguments {
  std::shared_ptr<FramePool> pool;
};

class ProducerPoolWrap : public Napi::ObjectWrap<ProducerPoolWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "ProducerPool",
                       {InstanceAccessor<&ProducerPoolWrap::epoch>("epoch"),
                        InstanceAccessor<&ProducerPoolWrap::created_unix_ns>("createdUnixNs"),
                        InstanceMethod<&ProducerPoolWrap::acquire>("acquire"),
                        InstanceMethod<&ProducerPoolWrap::end_delivery>("endDelivery"),
                        InstanceMethod<&ProducerPoolWrap::delivery>("delivery"),
                        InstanceMethod<&ProducerPoolWrap::open_group>("openGroup"),
                        InstanceMethod<&ProducerPoolWrap::close_group>("closeGroup"),
                        InstanceMethod<&ProducerPoolWrap::counts>("counts"),
                        InstanceMethod<&ProducerPoolWrap::close>("close")});
  }
  explicit ProducerPoolWrap(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ProducerPoolWrap>(info),
        pool_(take_arguments<ProducerPoolArguments>(info).pool) {}
  ~ProducerPoolWrap() override { shut(); }

 private:
  Napi::Value epoch(const Napi::CallbackInfo& info) {
    return Napi::String::New(info.Env(), pool_->epoch());
  }
  Napi::Value created_unix_ns(const Napi::CallbackInfo& info) {
    return bigint(info.Env(), pool_->created_unix_ns());
  }
  Napi::Value acquire(const Napi::CallbackInfo& info) {
    const bool displace = boolean_argument(info, 0, "displace");
    const std::optional<uint32_t> slot = displace ? pool_->acquire_displacing() : pool_->acquire();
    if (!slot) return info.Env().Null();
    return new_instance<WritableSlotWrap>(info.Env(), WritableSlotArguments{pool_, *slot});
  }
  Napi::Value end_delivery(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      return to_js(info.Env(), pool_->end_delivery(uint32_argument(info, 0, "slot"),
                                                   uint64_argument(info, 1, "generation"),
                                                   string_argument(info, 2, "group")));
    });
  }
  Napi::Value delivery(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      return to_js(info.Env(), pool_->delivery(uint32_argument(info, 0, "slot"),
                                               uint64_argument(info, 1, "generation"),
                                               string_argument(info, 2, "group")));
    });
  }
  void open_group(const Napi::CallbackInfo& info) {
    const RouteGroup group = route_group_from_js(Fields(info, 0, "group"));
    guarded(info.Env(), [&] { pool_->open_group(group); });
  }
  void close_group(const Napi::CallbackInfo& info) {
    pool_->close_group(string_argument(info, 0, "group"));
  }
  Napi::Value counts(const Napi::CallbackInfo& info) {
    const SlotCounts counts = pool_->counts();
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("free", counts.free);
    object.Set("writing", counts.writing);
    object.Set("published", counts.published);
    return object;
  }
  void close(const Napi::CallbackInfo&) { shut(); }
  void shut() {
    pool_->retire();
    pool_->end_deliveries();
  }

  std::shared_ptr<FramePool> pool_;
};

Napi::Value create_producer_pool(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::shared_ptr<BusServer> server = unwrap<BusServerWrap>(info[0], "server")->server();
  const Fields fields(info, 1, "options");
  FramePoolOptions options;
  options.stream_id = fields.string("streamId");
  options.format = frame_format_from_js(fields.object("format"));
  options.slots = fields.uint32("slots");
  options.memory = fields.memory("memory");
  if (options.memory != MemoryKind::kShm && options.memory != MemoryKind::kDmabuf) {
    fields.fail("memory", "'shm' or 'dmabuf'");
  }
  options.groups = route_groups(fields, "groups");
  ProducerPoolArguments arguments;
  arguments.pool = guarded(env, [&] {
    options.layout = tight_layout(options.format);
    std::shared_ptr<FramePool> pool = FramePool::create(options);
    server->add_pool(pool);
    return pool;
  });
  return new_instance<ProducerPoolWrap>(env, std::move(arguments));
}

const Module kModule{[](Napi::Env env, Napi::Object exports) {
  register_class<WritableSlotWrap>(env, WritableSlotWrap::define(env));
  register_class<ProducerPoolWrap>(env, ProducerPoolWrap::define(env));
  exports.Set("createProducerPool",
              Napi::Function::New(env, &create_producer_pool, "createProducerPool"));
}};

}  // namespace
}  // namespace framebus::binding
