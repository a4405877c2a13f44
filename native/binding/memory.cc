// probeMemory of contract.ts.
#include <napi.h>

#include <memory>
#include <optional>
#include <string>

#include "async.h"
#include "convert.h"
#include "core/cuda_device.h"
#include "core/dmabuf_pool_memory.h"
#include "core/error.h"
#include "core/pool_memory.h"
#include "module.h"

namespace framebus::binding {
namespace {

struct MemoryProbe {
  bool available = false;
  std::string detail;
};

MemoryProbe probe(MemoryKind kind) {
  if (kind == MemoryKind::kShm) return {true, "memfd"};
  PoolMemoryOptions options;
  options.kind = kind;
  options.stream_id = "probe";
  options.slots = 1;
  options.slot_stride = 4096;
  try {
    const std::unique_ptr<PoolMemory> made = create_pool_memory(options);
    const auto* dmabuf = dynamic_cast<const DmabufPoolMemory*>(made.get());
    return {true, dmabuf == nullptr ? cuda::describe_first_device() : dmabuf->exporter()};
  } catch (const Error& error) {
    return {false, error.what()};
  }
}

Napi::Value probe_memory(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::optional<MemoryKind> kind =
      info[0].IsString() ? memory_kind_of(info[0].As<Napi::String>().Utf8Value()) : std::nullopt;
  if (!kind) {
    throw make_error(env, "BAD_ARGUMENT",
                     "Expected 'shm', 'cuda', 'cuda-ipc' or 'dmabuf' for memory");
  }
  return run_async<MemoryProbe>(
      env, "framebus probeMemory", [kind = *kind] { return probe(kind); },
      [](Napi::Env to, MemoryProbe& found) -> Napi::Value {
        Napi::Object object = Napi::Object::New(to);
        object.Set("available", found.available);
        object.Set("detail", found.detail);
        return object;
      });
}

const Module kModule{[](Napi::Env env, Napi::Object exports) {
  exports.Set("probeMemory", Napi::Function::New(env, &probe_memory, "probeMemory"));
}};

}  // namespace
}  // namespace framebus::binding
