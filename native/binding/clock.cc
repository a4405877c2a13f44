// monotonicNs.
#include "convert.h"
#include "core/monotonic.h"
#include "module.h"

namespace framebus::binding {

static const Module kModule{[](Napi::Env env, Napi::Object exports) {
  exports.Set(
      "monotonicNs",
      Napi::Function::New(
          env, [](const Napi::CallbackInfo& info) { return bigint(info.Env(), monotonic_ns()); },
          "monotonicNs"));
}};

}  // namespace framebus::binding
