#include "frame_lease.h"

#include <utility>

#include "convert.h"
#include "core/lease_table.h"
#include "module.h"

namespace framebus::binding {

Napi::Function FrameLeaseWrap::define(Napi::Env env) {
  return DefineClass(env, "FrameLease",
                     {InstanceAccessor<&FrameLeaseWrap::id>("id"),
                      InstanceAccessor<&FrameLeaseWrap::format>("format"),
                      InstanceMethod<&FrameLeaseWrap::planes>("planes"),
                      InstanceMethod<&FrameLeaseWrap::valid>("valid"),
                      InstanceMethod<&FrameLeaseWrap::release>("release")});
}

FrameLeaseWrap::FrameLeaseWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<FrameLeaseWrap>(info) {
  auto arguments = take_arguments<FrameLeaseArguments>(info);
  lease_ = std::move(arguments.lease);
  on_leak_ = std::move(arguments.on_leak);
  format_ = lease_->format();
  id_ = lease_table().add(lease_);
}

FrameLeaseWrap::~FrameLeaseWrap() {
  if (lease_ == nullptr) return;
  lease_table().remove(id_);
  on_leak_(*lease_);
}

Napi::Value FrameLeaseWrap::id(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(id_));
}

Napi::Value FrameLeaseWrap::format(const Napi::CallbackInfo& info) {
  return frame_format_to_js(info.Env(), format_);
}

Napi::Value FrameLeaseWrap::planes(const Napi::CallbackInfo& info) {
  if (lease_ == nullptr) {
    throw make_error(info.Env(), "FRAME_RELEASED",
                     "frame lease " + std::to_string(id_) +
                         ": its planes were asked for after release(); keep the lease until the "
                         "pixels are read");
  }
  // Node-API has no read-only buffers; the mapping itself is.
  return buffer_.planes(info.This().As<Napi::Object>(), const_cast<uint8_t*>(lease_->data()),
                        format_, lease_->layout());
}

Napi::Value FrameLeaseWrap::valid(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), lease_ != nullptr && lease_->valid());
}

void FrameLeaseWrap::release(const Napi::CallbackInfo&) {
  if (lease_ == nullptr) return;
  buffer_.detach();
  lease_table().remove(id_);
  lease_.reset();
}

static const Module kModule{[](Napi::Env env, Napi::Object) {
  register_class<FrameLeaseWrap>(env, FrameLeaseWrap::define(env));
}};

}  // namespace framebus::binding
