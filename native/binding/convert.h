// Values across the boundary: checked getters, errors with codes, frame formats.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/frame_pool.h"
#include "core/frame_view.h"

namespace framebus::binding {

// An Error whose `code` is set.
Napi::Error make_error(Napi::Env env, const char* code, const std::string& message);

// Runs a function of core on Node's thread and turns framebus::Error into a
// JavaScript error with its code. Other exceptions pass through.
template <class Function>
auto guarded(Napi::Env env, Function&& function) {
  try {
    return std::forward<Function>(function)();
  } catch (const framebus::Error& error) {
    throw make_error(env, error.code(), error.what());
  }
}

// The argument at `index`, checked. `name` is its name in contract.ts. Wrong
// types throw a TypeError with code BAD_ARGUMENT, for example
// "Expected number for options.width but received string".
uint32_t uint32_argument(const Napi::CallbackInfo& info, size_t index, const char* name);
double number_argument(const Napi::CallbackInfo& info, size_t index, const char* name);
uint64_t uint64_argument(const Napi::CallbackInfo& info, size_t index, const char* name);
int64_t int64_argument(const Napi::CallbackInfo& info, size_t index, const char* name);
bool boolean_argument(const Napi::CallbackInfo& info, size_t index, const char* name);
std::string string_argument(const Napi::CallbackInfo& info, size_t index, const char* name);
Napi::Function function_argument(const Napi::CallbackInfo& info, size_t index, const char* name);

// An object whose fields are read with checks; knows its path for messages.
class Fields {
 public:
  Fields(const Napi::CallbackInfo& info, size_t index, const char* name);
  Fields(const Napi::Value& value, std::string path);

  double number(const char* key) const;
  uint32_t uint32(const char* key) const;  // Whole number 0 … 2^32−1.
  int32_t int32(const char* key) const;
  uint64_t uint64(const char* key) const;  // bigint, not negative.
  int64_t int64(const char* key) const;    // bigint.
  bool boolean(const char* key) const;
  std::string string(const char* key) const;
  std::vector<std::string> strings(const char* key) const;
  std::vector<uint32_t> uint32s(const char* key) const;
  std::vector<double> numbers(const char* key) const;
  MemoryKind memory(const char* key) const;
  Fields object(const char* key) const;
  Napi::Value value(const char* key) const;  // Unchecked.
  const std::string& path() const { return path_; }
  [[noreturn]] void fail(const char* key, const std::string& expected) const;

 private:
  Napi::Object object_;
  std::string path_;
};

// RouteGroup of contract.ts.
RouteGroup route_group_from_js(const Fields& fields);
std::vector<RouteGroup> route_groups(const Fields& fields, const char* key);

// FrameFormat of contract.ts.
FrameFormat frame_format_from_js(const Fields& fields);
Napi::Object frame_format_to_js(Napi::Env env, const FrameFormat& format);

// 64-bit integers are bigint in contract.ts.
inline Napi::Value bigint(Napi::Env env, uint64_t value) { return Napi::BigInt::New(env, value); }
inline Napi::Value bigint(Napi::Env env, int64_t value) { return Napi::BigInt::New(env, value); }

}  // namespace framebus::binding
