#include "convert.h"

#include <cmath>
#include <limits>

namespace framebus::binding {
namespace {

std::string type_of(const Napi::Value& value) {
  switch (value.Type()) {
    case napi_undefined:
      return "undefined";
    case napi_null:
      return "null";
    case napi_boolean:
      return "boolean";
    case napi_number:
      return "number " + value.ToString().Utf8Value();
    case napi_string:
      return "string";
    case napi_symbol:
      return "symbol";
    case napi_function:
      return "function";
    case napi_bigint:
      return "bigint";
    default:
      return value.IsArray() ? "array" : "object";
  }
}

[[noreturn]] void fail(const Napi::Value& value, const std::string& path,
                       const std::string& expected) {
  auto error = Napi::TypeError::New(
      value.Env(), "Expected " + expected + " for " + path + " but received " + type_of(value));
  error.Set("code", Napi::String::New(value.Env(), "BAD_ARGUMENT"));
  throw error;
}

double to_number(const Napi::Value& value, const std::string& path) {
  if (!value.IsNumber()) fail(value, path, "number");
  return value.As<Napi::Number>().DoubleValue();
}

double to_whole(const Napi::Value& value, const std::string& path, double low, double high) {
  const double number = to_number(value, path);
  if (!(number >= low && number <= high) || number != std::floor(number)) {
    fail(value, path, "whole number");
  }
  return number;
}

uint32_t to_uint32(const Napi::Value& value, const std::string& path) {
  return static_cast<uint32_t>(to_whole(value, path, 0, std::numeric_limits<uint32_t>::max()));
}

uint64_t to_uint64(const Napi::Value& value, const std::string& path) {
  if (!value.IsBigInt()) fail(value, path, "bigint");
  bool lossless = false;
  const uint64_t number = value.As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless) fail(value, path, "unsigned 64-bit bigint");
  return number;
}

int64_t to_int64(const Napi::Value& value, const std::string& path) {
  if (!value.IsBigInt()) fail(value, path, "bigint");
  bool lossless = false;
  const int64_t number = value.As<Napi::BigInt>().Int64Value(&lossless);
  if (!lossless) fail(value, path, "64-bit bigint");
  return number;
}

std::string to_string(const Napi::Value& value, const std::string& path) {
  if (!value.IsString()) fail(value, path, "string");
  return value.As<Napi::String>().Utf8Value();
}

template <class Element>
auto to_vector(const Napi::Value& value, const std::string& path, Element element) {
  if (!value.IsArray()) fail(value, path, "array");
  const auto array = value.As<Napi::Array>();
  std::vector<decltype(element(value, path))> result;
  result.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    result.push_back(element(array.Get(i), path + "[" + std::to_string(i) + "]"));
  }
  return result;
}

Napi::Object to_object(const Napi::Value& value, const std::string& path) {
  if (!value.IsObject() || value.IsArray()) fail(value, path, "object");
  return value.As<Napi::Object>();
}

}  // namespace

Napi::Error make_error(Napi::Env env, const char* code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

uint32_t uint32_argument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  return to_uint32(info[index], name);
}
double number_argument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  return to_number(info[index], name);
}
uint64_t uint64_argument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  return to_uint64(info[index], name);
}
int64_t int64_argument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  return to_int64(info[index], name);
}
bool boolean_argument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  const Napi::Value value = info[index];
  if (!value.IsBoolean()) binding::fail(value, name, "boolean");
  return value.As<Napi::Boolean>().Value();
}
std::string string_argument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  return to_string(info[index], name);
}
Napi::Function function_argument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  const Napi::Value value = info[index];
  if (!value.IsFunction()) binding::fail(value, name, "function");
  return value.As<Napi::Function>();
}

Fields::Fields(const Napi::CallbackInfo& info, size_t index, const char* name)
    : Fields(info[index], name) {}
Fields::Fields(const Napi::Value& value, std::string path)
    : object_(to_object(value, path)), path_(std::move(path)) {}

Napi::Value Fields::value(const char* key) const { return object_.Get(key); }
double Fields::number(const char* key) const { return to_number(value(key), path_ + "." + key); }
uint32_t Fields::uint32(const char* key) const { return to_uint32(value(key), path_ + "." + key); }
int32_t Fields::int32(const char* key) const {
  return static_cast<int32_t>(to_whole(value(key), path_ + "." + key,
                                       std::numeric_limits<int32_t>::min(),
                                       std::numeric_limits<int32_t>::max()));
}
uint64_t Fields::uint64(const char* key) const { return to_uint64(value(key), path_ + "." + key); }
int64_t Fields::int64(const char* key) const { return to_int64(value(key), path_ + "." + key); }
bool Fields::boolean(const char* key) const {
  if (!value(key).IsBoolean()) fail(key, "boolean");
  return value(key).As<Napi::Boolean>().Value();
}
std::string Fields::string(const char* key) const {
  return to_string(value(key), path_ + "." + key);
}
std::vector<std::string> Fields::strings(const char* key) const {
  return to_vector(value(key), path_ + "." + key, to_string);
}
std::vector<uint32_t> Fields::uint32s(const char* key) const {
  return to_vector(value(key), path_ + "." + key, to_uint32);
}
std::vector<double> Fields::numbers(const char* key) const {
  return to_vector(value(key), path_ + "." + key, to_number);
}
MemoryKind Fields::memory(const char* key) const {
  const std::optional<MemoryKind> kind = memory_kind_of(string(key));
  if (!kind) fail(key, "'shm', 'cuda', 'cuda-ipc' or 'dmabuf'");
  return *kind;
}
Fields Fields::object(const char* key) const { return {value(key), path_ + "." + key}; }
void Fields::fail(const char* key, const std::string& expected) const {
  binding::fail(value(key), path_ + "." + key, expected);
}

RouteGroup route_group_from_js(const Fields& fields) {
  return {fields.string("name"), fields.uint32("hold")};
}

std::vector<RouteGroup> route_groups(const Fields& fields, const char* key) {
  return to_vector(fields.value(key), fields.path() + "." + key,
                   [](const Napi::Value& value, const std::string& path) {
                     return route_group_from_js(Fields(value, path));
                   });
}

FrameFormat frame_format_from_js(const Fields& fields) {
  FrameFormat format;
  format.width = fields.uint32("width");
  format.height = fields.uint32("height");
  const std::string pixels = fields.string("pixelFormat");
  if (pixels != "I420" && pixels != "NV12") fields.fail("pixelFormat", "'I420' or 'NV12'");
  format.pixel_format = pixels == "I420" ? PixelFormat::kI420 : PixelFormat::kNv12;
  const std::string matrix = fields.string("matrix");
  if (matrix != "bt601" && matrix != "bt709") fields.fail("matrix", "'bt601' or 'bt709'");
  format.matrix = matrix == "bt601" ? ColorMatrix::kBt601 : ColorMatrix::kBt709;
  const std::string range = fields.string("range");
  if (range != "limited" && range != "full") fields.fail("range", "'limited' or 'full'");
  format.range = range == "limited" ? ColorRange::kLimited : ColorRange::kFull;
  format.frame_rate_numerator = fields.uint32("frameRateNumerator");
  format.frame_rate_denominator = fields.uint32("frameRateDenominator");
  format.pixel_aspect_numerator = fields.uint32("pixelAspectNumerator");
  format.pixel_aspect_denominator = fields.uint32("pixelAspectDenominator");
  return format;
}

Napi::Object frame_format_to_js(Napi::Env env, const FrameFormat& format) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("width", format.width);
  object.Set("height", format.height);
  object.Set("pixelFormat", format.pixel_format == PixelFormat::kI420 ? "I420" : "NV12");
  object.Set("matrix", format.matrix == ColorMatrix::kBt601 ? "bt601" : "bt709");
  object.Set("range", format.range == ColorRange::kLimited ? "limited" : "full");
  object.Set("frameRateNumerator", format.frame_rate_numerator);
  object.Set("frameRateDenominator", format.frame_rate_denominator);
  object.Set("pixelAspectNumerator", format.pixel_aspect_numerator);
  object.Set("pixelAspectDenominator", format.pixel_aspect_denominator);
  return object;
}

}  // namespace framebus::binding
