// argmax of contract.ts.
#include <limits>
#include <string>

#include "convert.h"
#include "core/class_argmax.h"
#include "module.h"

namespace framebus::binding {
namespace {

napi_typedarray_type type_of(const Napi::Value& value) {
  // Any type that is none of the two that are asked for.
  return value.IsTypedArray() ? value.As<Napi::TypedArray>().TypedArrayType() : napi_int8_array;
}

void check_length(Napi::Env env, const char* name, size_t length, uint64_t needed) {
  if (length >= needed) return;
  throw make_error(env, "BAD_ARGUMENT",
                   std::string(name) + ": has " + std::to_string(length) + " numbers, needs " +
                       std::to_string(needed));
}

template <class Index>
void write(Napi::Env env, const ClassScores& scores, const Napi::Value& into) {
  auto array = into.As<Napi::TypedArrayOf<Index>>();
  check_length(env, "into", array.ElementLength(), scores.cells);
  if (scores.channels - 1 > std::numeric_limits<Index>::max()) {
    throw make_error(env, "BAD_ARGUMENT",
                     "channels: " + std::to_string(scores.channels) +
                         " do not fit into numbers of " + std::to_string(8 * sizeof(Index)) +
                         " bits");
  }
  class_argmax(scores, array.Data());
}

Napi::Value argmax(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (type_of(info[0]) != napi_float32_array) {
    throw make_error(env, "BAD_ARGUMENT", "Expected Float32Array for scores");
  }
  const auto floats = info[0].As<Napi::Float32Array>();
  const uint32_t channels = uint32_argument(info, 1, "channels");
  const uint32_t cells = uint32_argument(info, 2, "cells");
  const std::string layout = string_argument(info, 3, "layout");
  if (layout != "nchw" && layout != "nhwc") {
    throw make_error(env, "BAD_ARGUMENT", "Expected 'nchw' or 'nhwc' for layout");
  }
  if (channels == 0) throw make_error(env, "BAD_ARGUMENT", "channels: must be at least 1");
  check_length(env, "scores", floats.ElementLength(), uint64_t{channels} * cells);
  const ClassScores scores{floats.Data(), channels, cells, layout == "nhwc"};
  const napi_typedarray_type type = type_of(info[4]);
  if (type == napi_uint8_array) {
    write<uint8_t>(env, scores, info[4]);
  } else if (type == napi_uint16_array) {
    write<uint16_t>(env, scores, info[4]);
  } else {
    throw make_error(env, "BAD_ARGUMENT", "Expected Uint8Array or Uint16Array for into");
  }
  return env.Undefined();
}

const Module kModule{[](Napi::Env env, Napi::Object exports) {
  exports.Set("argmax", Napi::Function::New(env, argmax, "argmax"));
}};

}  // namespace
}  // namespace framebus::binding
