// Inference engines as shared libraries: the host's side of engine/framebus_engine.h.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "engine/framebus_engine.h"

namespace framebus {

// A loaded library. Never unloaded: what runs models keeps threads and memory of its own.
class EngineLibrary {
 public:
  // Throws ENGINE_MISSING when it cannot be loaded or is no engine, ENGINE_ABI when it
  // was built for another version of the ABI.
  static std::shared_ptr<const EngineLibrary> open(const std::string& path);

  EngineLibrary(std::string path, const fb_engine_api& api) : path_(std::move(path)), api_(api) {}

  const std::string& path() const { return path_; }
  const fb_engine_api& api() const { return api_; }
  // What it would run models on. Throws ENGINE_MISSING, ENGINE_FAILED.
  fb_platform probe(int32_t device) const;

 private:
  const std::string path_;
  const fb_engine_api& api_;  // Borrowed from the library.
};

struct EngineOptions {
  std::string model;  // Path.
  int32_t device = 0;
  uint32_t threads = 0;
  uint32_t max_batch = 1;
};

// A loaded model. One thread at a time.
class PluginEngine {
 public:
  // Throws ENGINE_MISSING, ENGINE_VERSION, ENGINE_DEVICE, ENGINE_DAMAGED, ENGINE_MEMORY,
  // MODEL_SHAPE, ENGINE_FAILED.
  PluginEngine(std::shared_ptr<const EngineLibrary> library, const EngineOptions& options);
  ~PluginEngine();
  PluginEngine(const PluginEngine&) = delete;
  PluginEngine& operator=(const PluginEngine&) = delete;

  const fb_description& description() const { return description_; }
  // Null when the model has no such input; borrowed.
  const fb_tensor_info* input(const std::string& name) const;

  // Runs and waits. The outputs are the engine's, and good until the next run.
  // `stream`: see enqueue() of the ABI. Throws MODEL_SHAPE, ENGINE_MEMORY, ENGINE_FAILED.
  std::span<const fb_tensor> run(std::span<const fb_tensor> inputs, void* stream);

 private:
  void check_description() const;
  [[noreturn]] void fail(int32_t status, const char* text) const;

  const std::shared_ptr<const EngineLibrary> library_;
  const std::string model_;
  fb_engine* engine_ = nullptr;  // Owned.
  fb_description description_{};
};

// Bytes of one number; 0 for a type that the ABI does not have.
size_t engine_type_bytes(int32_t type);

// The numbers of a tensor of these dimensions, times their size. Throws MODEL_SHAPE when
// a dimension is negative or the product is beyond 2^48.
uint64_t engine_tensor_bytes(const fb_tensor& tensor);

}  // namespace framebus
