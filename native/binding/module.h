// How a binding file adds its functions and classes to the addon.
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <typeindex>
#include <unordered_map>
#include <utility>

namespace framebus::binding {

using ModuleInit = void (*)(Napi::Env env, Napi::Object exports);

// Declares, at namespace scope, what a binding file exports:
//   static const Module kModule{[](Napi::Env env, Napi::Object exports) { … }};
class Module {
 public:
  explicit Module(ModuleInit init);
  static void init_all(Napi::Env env, Napi::Object exports);
};

// What the addon keeps for one environment (the main thread or one worker).
struct EnvData {
  std::unordered_map<std::type_index, Napi::FunctionReference> constructors;
};

// Remembers the class of an ObjectWrap in this environment:
//   register_class<BusServerWrap>(env, DefineClass(env, "BusServer", {…}));
template <class Wrap>
void register_class(Napi::Env env, const Napi::Function& constructor) {
  env.GetInstanceData<EnvData>()->constructors[typeid(Wrap)] = Napi::Persistent(constructor);
}

// Makes an instance; its constructor receives `arguments` by take_arguments().
// JavaScript cannot construct one by itself.
template <class Wrap, class Arguments>
Napi::Object new_instance(Napi::Env env, Arguments arguments) {
  Arguments* const borrowed = &arguments;  // Lives until New() has returned.
  return env.GetInstanceData<EnvData>()
      ->constructors.at(typeid(Wrap))
      .New({Napi::External<Arguments>::New(env, borrowed)});
}

template <class Arguments>
Arguments take_arguments(const Napi::CallbackInfo& info) {
  if (info.Length() != 1 || !info[0].IsExternal()) {
    throw Napi::TypeError::New(info.Env(), "Illegal constructor: use the create function");
  }
  return std::move(*info[0].As<Napi::External<Arguments>>().Data());
}

// The C++ side of an instance; throws when the value is anything else.
template <class Wrap>
Wrap* unwrap(const Napi::Value& value, const char* path) {
  Napi::Env env = value.Env();
  auto& constructor = env.GetInstanceData<EnvData>()->constructors.at(typeid(Wrap));
  if (!value.IsObject() || !value.As<Napi::Object>().InstanceOf(constructor.Value())) {
    throw Napi::TypeError::New(env, std::string("Expected another object for ") + path);
  }
  return Wrap::Unwrap(value.As<Napi::Object>());
}

}  // namespace framebus::binding
