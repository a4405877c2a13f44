#include "tensorrt_library.h"

#include <dlfcn.h>

#include "engine/framebus_engine.h"
#include "engine_error.h"
#include "tensorrt_log.h"

namespace framebus::tensorrt {
namespace {

constexpr int32_t kHeaders = static_cast<int32_t>(NV_TENSORRT_VERSION);
// Since TensorRT 10 minor versions have two digits.
constexpr int32_t kTwoDigits = 100000;

int32_t major_of(int32_t version) {
  return version >= kTwoDigits ? version / 10000 : version / 1000;
}
int32_t minor_of(int32_t version) {
  return version >= kTwoDigits ? version / 100 % 100 : version / 100 % 10;
}

template <class Function>
Function find(void* library, const char* name) {
  const auto function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) {
    throw EngineError(FB_MISSING, std::string("TensorRT: its library has no ") + name);
  }
  return function;
}

// A plan may need them (EfficientNMS_TRT and others); if not, it does without.
void load_plugins(const std::string& suffix) {
  void* const plugins = dlopen(("libnvinfer_plugin.so." + suffix).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (plugins == nullptr) return;
  using Init = bool (*)(void* logger, const char* name_space);
  const auto init = reinterpret_cast<Init>(dlsym(plugins, "initLibNvInferPlugins"));
  if (init != nullptr) init(&logger(), "");
}

TensorrtLibrary load() {
  const std::string suffix = std::to_string(NV_TENSORRT_MAJOR);
  const std::string name = "libnvinfer.so." + suffix;
  void* const library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const why = dlerror();
    throw EngineError(FB_MISSING, "TensorRT: " + (why != nullptr ? std::string(why) : name) +
                                      "; install TensorRT " + suffix +
                                      ", or name its folder in LD_LIBRARY_PATH");
  }
  const int32_t version = find<int32_t (*)()>(library, "getInferLibVersion")();
  if (major_of(version) != NV_TENSORRT_MAJOR || minor_of(version) < NV_TENSORRT_MINOR) {
    throw EngineError(FB_MISSING, "TensorRT: " + name + " is " + version_text(version) +
                                      ", this engine was built with the headers of " +
                                      version_text(kHeaders) +
                                      "; build it with the headers of what is installed");
  }
  load_plugins(suffix);
  return {version_text(version),
          find<void* (*)(void*, int32_t)>(library, "createInferRuntime_INTERNAL")};
}

}  // namespace

const TensorrtLibrary& tensorrt_library() {
  // Tried again after a failure: it may be installed meanwhile.
  static const TensorrtLibrary loaded = load();
  return loaded;
}

std::string version_text(int32_t version) {
  return std::to_string(major_of(version)) + "." + std::to_string(minor_of(version)) + "." +
         std::to_string(version % 100);
}

}  // namespace framebus::tensorrt
