// FrameLease of contract.ts.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <optional>

#include "core/pool_view.h"
#include "slot_buffer.h"

namespace framebus::binding {

struct FrameLeaseArguments {
  std::shared_ptr<SlotLease> lease;
  // Told when the object was collected before release(); any thread.
  std::function<void(const SlotLease& lease)> on_leak;
};

class FrameLeaseWrap : public Napi::ObjectWrap<FrameLeaseWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit FrameLeaseWrap(const Napi::CallbackInfo& info);
  // Nobody can release it any more: reports it and ends the lease.
  ~FrameLeaseWrap() override;

 private:
  Napi::Value id(const Napi::CallbackInfo& info);
  Napi::Value format(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value planes(const Napi::CallbackInfo& info);
  Napi::Value download(const Napi::CallbackInfo& info);
  Napi::Value valid(const Napi::CallbackInfo& info);
  void release(const Napi::CallbackInfo& info);

  std::shared_ptr<SlotLease> lease_;  // Null after release.
  std::function<void(const SlotLease&)> on_leak_;
  FrameFormat format_;
  MemoryKind memory_ = MemoryKind::kShm;
  uint64_t id_ = 0;
  std::optional<FrameRead> read_;  // While there are views of memory that must be told.
  SlotBuffer buffer_;
};

}  // namespace framebus::binding
