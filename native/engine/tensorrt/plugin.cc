// The engine's C functions: nothing is thrown past here.
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>

#include "core/error.h"
#include "engine/framebus_engine.h"
#include "engine_error.h"
#include "tensorrt_engine.h"

using framebus::tensorrt::EngineError;
using framebus::tensorrt::TensorrtEngine;

struct fb_engine {
  explicit fb_engine(const fb_engine_options& options) : engine(options) {}
  TensorrtEngine engine;
};

namespace {

int32_t say(int32_t status, const char* text, char* error, size_t error_bytes) {
  if (error != nullptr && error_bytes > 0) std::snprintf(error, error_bytes, "%s", text);
  return status;
}

template <class Work>
int32_t guarded(char* error, size_t error_bytes, Work work) noexcept {
  try {
    work();
    return FB_OK;
  } catch (const EngineError& failure) {
    return say(failure.status(), failure.what(), error, error_bytes);
  } catch (const framebus::Error& failure) {
    const bool memory = std::strcmp(failure.code(), "NO_SPACE") == 0;
    return say(memory ? FB_NO_MEMORY : FB_FAILED, failure.what(), error, error_bytes);
  } catch (const std::bad_alloc&) {
    return say(FB_NO_MEMORY, "no memory is left on the host", error, error_bytes);
  } catch (const std::exception& failure) {
    return say(FB_FAILED, failure.what(), error, error_bytes);
  }
}

template <size_t kBytes>
void copy_text(char (&to)[kBytes], const std::string& text) {
  std::snprintf(to, kBytes, "%s", text.c_str());
}

int32_t probe(int32_t ordinal, fb_platform* platform, char* error, size_t error_bytes) {
  return guarded(error, error_bytes, [&] {
    const framebus::tensorrt::Device device = framebus::tensorrt::open_device(ordinal);
    const auto found = framebus::tensorrt::platform_of(*device);
    copy_text(platform->engine, "tensorrt");
    copy_text(platform->version, found.tensorrt);
    copy_text(platform->device, found.gpu);
    copy_text(platform->architecture, found.compute_capability);
  });
}

int32_t create(const fb_engine_options* options, fb_engine** engine, char* error,
               size_t error_bytes) {
  return guarded(error, error_bytes, [&] {
    if (options->struct_bytes < sizeof(fb_engine_options) || options->model == nullptr ||
        options->max_batch < 1) {
      throw EngineError(FB_BAD_ARGUMENT, "TensorRT: options are missing");
    }
    *engine = std::make_unique<fb_engine>(*options).release();
  });
}

int32_t describe(fb_engine* engine, fb_description* description, char* error, size_t error_bytes) {
  return guarded(error, error_bytes, [&] { *description = engine->engine.description(); });
}

int32_t enqueue(fb_engine* engine, const fb_tensor* inputs, uint32_t count, void* stream,
                char* error, size_t error_bytes) {
  return guarded(error, error_bytes, [&] {
    engine->engine.enqueue({inputs, count}, static_cast<framebus::cuda::Stream>(stream));
  });
}

int32_t collect(fb_engine* engine, const fb_tensor** outputs, uint32_t* count, char* error,
                size_t error_bytes) {
  return guarded(error, error_bytes, [&] {
    const auto found = engine->engine.collect();
    *outputs = found.data();
    *count = static_cast<uint32_t>(found.size());
  });
}

void destroy(fb_engine* engine) { const std::unique_ptr<fb_engine> ended(engine); }

}  // namespace

const fb_engine_api* fb_engine_entry() {
  static const fb_engine_api api{FB_ENGINE_ABI_VERSION,
                                 sizeof(fb_engine_api),
                                 probe,
                                 create,
                                 describe,
                                 enqueue,
                                 collect,
                                 destroy};
  return &api;
}
