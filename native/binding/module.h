// How a binding file adds its functions to the addon: one static Module each.
#pragma once

#include <napi.h>

namespace framebus::binding {

using ModuleInit = void (*)(Napi::Env env, Napi::Object exports);

// Declares, at namespace scope, what a binding file exports:
//   static const Module kModule{[](Napi::Env env, Napi::Object exports) { … }};
class Module {
 public:
  explicit Module(ModuleInit init);
  static void init_all(Napi::Env env, Napi::Object exports);
};

}  // namespace framebus::binding
