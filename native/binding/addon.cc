// The addon's entry point.
#include <vector>

#include "module.h"

namespace framebus::binding {
namespace {

// A function-local static: binding files register during static initialisation,
// in no known order.
std::vector<ModuleInit>& registered() {
  static std::vector<ModuleInit> modules;
  return modules;
}

}  // namespace

Module::Module(ModuleInit init) { registered().push_back(init); }

void Module::init_all(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(std::make_unique<EnvData>().release());  // Node-API owns it from here.
  for (const ModuleInit init : registered()) init(env, exports);
}

}  // namespace framebus::binding

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  framebus::binding::Module::init_all(env, exports);
  return exports;
}

NODE_API_MODULE(framebus, init)
