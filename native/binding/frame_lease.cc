#include "frame_lease.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "async.h"
#include "convert.h"
#include "core/lease_table.h"
#include "module.h"

namespace framebus::binding {

namespace {

// A frame in memory of its own.
struct Copy {
  std::shared_ptr<void> owner;
  void* data = nullptr;  // Borrowed from owner; layout.slot_bytes.
  PlaneLayout layout;
};

void check_readable(const SlotLease* lease, uint64_t id) {
  const std::string name = "frame lease " + std::to_string(id);
  if (lease == nullptr) {
    throw Error("FRAME_RELEASED", name +
                                      ": its planes were asked for after release(); keep the "
                                      "lease until the pixels are read");
  }
  if (!lease->valid()) {
    throw Error("LEASE_REVOKED", name +
                                     ": the producer has ended it; release frames sooner, and "
                                     "attach again");
  }
}

Copy copy_of(const SlotLease* lease, uint64_t id) {
  check_readable(lease, id);
  Copy copy;
  copy.layout = lease->layout();
  auto read = std::make_shared<FrameRead>(lease->read());
  const FrameView& view = read->view();
  if (lease->data() == nullptr) {
    // It has been copied already; the view starts where the slot did.
    copy.data = const_cast<uint8_t*>(view.data[0]) - copy.layout.offset[0];
    copy.owner = std::move(read);
  } else {
    auto bytes = std::make_shared<std::vector<uint8_t>>(copy.layout.slot_bytes);
    for (uint32_t p = 0; p < plane_count(view.format.pixel_format); ++p) {
      const size_t rows = plane_rows(view.format, p);
      const size_t size = view.stride[p] * (rows - 1) + plane_row_bytes(view.format, p);
      std::memcpy(bytes->data() + copy.layout.offset[p], view.data[p], size);
    }
    copy.data = bytes->data();
    copy.owner = std::move(bytes);
  }
  check_readable(lease, id);  // What was overwritten meanwhile is no copy of it.
  return copy;
}

}  // namespace

Napi::Function FrameLeaseWrap::define(Napi::Env env) {
  return DefineClass(env, "FrameLease",
                     {InstanceAccessor<&FrameLeaseWrap::id>("id"),
                      InstanceAccessor<&FrameLeaseWrap::format>("format"),
                      InstanceAccessor<&FrameLeaseWrap::memory>("memory"),
                      InstanceMethod<&FrameLeaseWrap::planes>("planes"),
                      InstanceMethod<&FrameLeaseWrap::download>("download"),
                      InstanceMethod<&FrameLeaseWrap::valid>("valid"),
                      InstanceMethod<&FrameLeaseWrap::release>("release")});
}

FrameLeaseWrap::FrameLeaseWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<FrameLeaseWrap>(info) {
  auto arguments = take_arguments<FrameLeaseArguments>(info);
  lease_ = std::move(arguments.lease);
  on_leak_ = std::move(arguments.on_leak);
  format_ = lease_->format();
  memory_ = lease_->memory();
  id_ = lease_table().add(lease_);
}

FrameLeaseWrap::~FrameLeaseWrap() {
  if (lease_ == nullptr) return;
  read_.reset();
  lease_table().remove(id_);
  on_leak_(*lease_);
}

Napi::Value FrameLeaseWrap::id(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(id_));
}

Napi::Value FrameLeaseWrap::format(const Napi::CallbackInfo& info) {
  return frame_format_to_js(info.Env(), format_);
}

Napi::Value FrameLeaseWrap::memory(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), memory_kind_name(memory_));
}

Napi::Value FrameLeaseWrap::planes(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    check_readable(lease_.get(), id_);
    const uint8_t* const data = lease_->data();
    if (data == nullptr) {
      throw Error("FRAME_ON_DEVICE", "frame lease " + std::to_string(id_) + ": its pixels lie in " +
                                         memory_kind_name(memory_) +
                                         " memory; ask for a copy with download()");
    }
    if (memory_ != MemoryKind::kShm && !read_) read_ = lease_->read();
    // Node-API has no read-only buffers; the mapping itself is.
    return buffer_.planes(info.This().As<Napi::Object>(), const_cast<uint8_t*>(data), format_,
                          lease_->layout());
  });
}

Napi::Value FrameLeaseWrap::download(const Napi::CallbackInfo& info) {
  return run_async<Copy>(
      info.Env(), "framebus download",
      // Keeps the lease until the copy is made, whoever releases it meanwhile.
      [lease = lease_, id = id_] { return copy_of(lease.get(), id); },
      [format = format_](Napi::Env env, Copy& copy) -> Napi::Value {
        auto owner = std::make_unique<std::shared_ptr<void>>(std::move(copy.owner));
        const Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(
            env, copy.data, copy.layout.slot_bytes,
            [](Napi::Env, void*, std::shared_ptr<void>* finished) {
              const std::unique_ptr<std::shared_ptr<void>> ended(finished);
            },
            owner.get());
        owner.release();  // The finalizer owns it now.
        return planes_over(env, buffer, format, copy.layout);
      });
}

Napi::Value FrameLeaseWrap::valid(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), lease_ != nullptr && lease_->valid());
}

void FrameLeaseWrap::release(const Napi::CallbackInfo&) {
  if (lease_ == nullptr) return;
  buffer_.detach();
  read_.reset();
  lease_table().remove(id_);
  lease_.reset();
}

static const Module kModule{[](Napi::Env env, Napi::Object) {
  register_class<FrameLeaseWrap>(env, FrameLeaseWrap::define(env));
}};

}  // namespace framebus::binding
