// probeCudaPreprocess, preprocess and preprocessPlanes of contract.ts.
#include "preprocess.h"

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "async.h"
#include "core/cuda_preprocess.h"
#include "core/lease_table.h"
#include "core/preprocess_parts.h"
#include "module.h"

namespace framebus::binding {
namespace {

constexpr uint32_t kMaxSide = 16384;

[[noreturn]] void bad_argument(Napi::Env env, const std::string& message) {
  Napi::Error error = Napi::RangeError::New(env, message);
  error.Set("code", Napi::String::New(env, "BAD_ARGUMENT"));
  throw error;
}

// A string field that must be one of two; true for the second.
bool second_of(const Fields& fields, const char* key, const char* first, const char* second) {
  const std::string value = fields.string(key);
  if (value != first && value != second) {
    fields.fail(key, std::string("'") + first + "' or '" + second + "'");
  }
  return value == second;
}

uint32_t side(const Fields& fields, const char* key) {
  const uint32_t value = fields.uint32(key);
  if (value < 1 || value > kMaxSide) fields.fail(key, "whole number from 1 to 16384");
  return value;
}

std::array<float, 3> three_numbers(const Fields& fields, const char* key) {
  const std::vector<double> numbers = fields.numbers(key);
  std::array<float, 3> out{};
  if (numbers.size() != out.size()) fields.fail(key, "three numbers");
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<float>(numbers[i]);
    if (!std::isfinite(out[i])) fields.fail(key, "three finite numbers");
  }
  return out;
}

}  // namespace

PreprocessSpec preprocess_spec_from_js(const Fields& fields) {
  PreprocessSpec spec;
  spec.width = side(fields, "width");
  spec.height = side(fields, "height");
  spec.resize =
      second_of(fields, "resize", "stretch", "letterbox") ? Resize::kLetterbox : Resize::kStretch;
  spec.anchor =
      second_of(fields, "anchor", "center", "top-left") ? Anchor::kTopLeft : Anchor::kCenter;
  const double pad = fields.number("padValue");
  if (!(pad >= 0 && pad <= 255)) fields.fail("padValue", "number from 0 to 255");
  spec.pad_value = static_cast<float>(pad);
  spec.color_order =
      second_of(fields, "colorOrder", "rgb", "bgr") ? ColorOrder::kBgr : ColorOrder::kRgb;
  spec.layout =
      second_of(fields, "layout", "nchw", "nhwc") ? TensorLayout::kNhwc : TensorLayout::kNchw;
  spec.mean = three_numbers(fields, "mean");
  spec.scale = three_numbers(fields, "scale");
  return spec;
}

Napi::Object geometry_to_js(Napi::Env env, const PreprocessGeometry& geometry) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("scaleX", geometry.scale_x);
  object.Set("scaleY", geometry.scale_y);
  object.Set("offsetX", geometry.offset_x);
  object.Set("offsetY", geometry.offset_y);
  return object;
}

namespace {

// The argument's floats, at least `needed` of them.
float* tensor_argument(const Napi::CallbackInfo& info, size_t index, size_t needed) {
  const Napi::Value value = info[index];
  if (!value.IsTypedArray() ||
      value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array) {
    bad_argument(info.Env(), "Expected Float32Array for tensor");
  }
  auto tensor = value.As<Napi::Float32Array>();
  if (tensor.ElementLength() < needed) {
    bad_argument(info.Env(), "tensor: has " + std::to_string(tensor.ElementLength()) +
                                 " floats, needs " + std::to_string(needed));
  }
  return tensor.Data();
}

std::shared_ptr<Lease> find_lease(Napi::Env env, int64_t id) {
  std::shared_ptr<Lease> lease = id < 1 ? nullptr : lease_table().find(static_cast<uint64_t>(id));
  if (lease == nullptr) {
    throw make_error(env, "FRAME_RELEASED",
                     "lease " + std::to_string(id) +
                         ": released already, or never given; keep the lease until its results "
                         "are made");
  }
  return lease;
}

FrameRegion region_from_js(const Fields& fields) {
  const FrameRegion region{fields.number("x"), fields.number("y"), fields.number("width"),
                           fields.number("height")};
  if (!std::isfinite(region.x) || !std::isfinite(region.y)) fields.fail("x", "finite numbers");
  if (!(region.width > 0) || !std::isfinite(region.width)) fields.fail("width", "number above 0");
  if (!(region.height > 0) || !std::isfinite(region.height)) {
    fields.fail("height", "number above 0");
  }
  return region;
}

}  // namespace

std::vector<LeasedPart> frames_argument(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsArray()) bad_argument(info.Env(), "Expected array for frames");
  const auto array = info[index].As<Napi::Array>();
  std::vector<LeasedPart> frames;
  frames.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const std::string path = "frames[" + std::to_string(i) + "]";
    const Fields fields(array.Get(i), path);
    const Napi::Value region = fields.value("region");
    frames.push_back({find_lease(info.Env(), static_cast<int64_t>(fields.number("leaseId"))),
                      region.IsNull()
                          ? std::nullopt
                          : std::optional(region_from_js(Fields(region, path + ".region")))});
  }
  return frames;
}

namespace {

Napi::Value preprocess_leases(const Napi::CallbackInfo& info) {
  const std::vector<LeasedPart> frames = frames_argument(info, 0);
  const PreprocessSpec spec = preprocess_spec_from_js(Fields(info, 1, "spec"));
  float* const tensor = tensor_argument(info, 2, frames.size() * tensor_size(spec));
  const std::vector<PreprocessGeometry> geometries =
      guarded(info.Env(), [&] { return preprocess_parts(frames, spec, tensor); });
  Napi::Array result = Napi::Array::New(info.Env(), geometries.size());
  for (uint32_t i = 0; i < geometries.size(); ++i)
    result.Set(i, geometry_to_js(info.Env(), geometries[i]));
  return result;
}

FrameView planes_argument(const Napi::CallbackInfo& info) {
  const Fields format(info, 0, "format");
  FrameView view;
  view.format = frame_format_from_js(format);
  view.format.width = side(format, "width");
  view.format.height = side(format, "height");
  const uint32_t count = plane_count(view.format.pixel_format);
  if (!info[1].IsArray() || info[1].As<Napi::Array>().Length() != count) {
    bad_argument(info.Env(), "Expected array of " + std::to_string(count) + " for planes");
  }
  for (uint32_t p = 0; p < count; ++p) {
    const Fields plane(info[1].As<Napi::Array>().Get(p), "planes[" + std::to_string(p) + "]");
    const Napi::Value data = plane.value("data");
    if (!data.IsTypedArray() || data.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
      plane.fail("data", "Uint8Array");
    }
    const uint32_t row = plane_row_bytes(view.format, p);
    view.stride[p] = plane.uint32("stride");
    if (view.stride[p] < row) plane.fail("stride", "at least " + std::to_string(row));
    const size_t needed = size_t{view.stride[p]} * (plane_rows(view.format, p) - 1) + row;
    const size_t length = data.As<Napi::Uint8Array>().ElementLength();
    if (length < needed) {
      bad_argument(info.Env(), plane.path() + ".data: has " + std::to_string(length) +
                                   " bytes, needs " + std::to_string(needed));
    }
    view.data[p] = data.As<Napi::Uint8Array>().Data();
  }
  return view;
}

Napi::Value preprocess_planes(const Napi::CallbackInfo& info) {
  const FrameView view = planes_argument(info);
  const PreprocessSpec spec = preprocess_spec_from_js(Fields(info, 2, "spec"));
  float* const tensor = tensor_argument(info, 3, tensor_size(spec));
  return geometry_to_js(info.Env(), preprocess(view, spec, tensor));
}

Napi::Value probe_preprocess(const Napi::CallbackInfo& info) {
  return run_async<CudaPreprocessProbe>(
      info.Env(), "framebus probeCudaPreprocess", [] { return probe_cuda_preprocess(); },
      [](Napi::Env to, CudaPreprocessProbe& found) -> Napi::Value {
        Napi::Object object = Napi::Object::New(to);
        object.Set("available", found.available);
        object.Set("detail", found.detail);
        return object;
      });
}

const Module kModule{[](Napi::Env env, Napi::Object exports) {
  exports.Set("probeCudaPreprocess",
              Napi::Function::New(env, probe_preprocess, "probeCudaPreprocess"));
  exports.Set("preprocess", Napi::Function::New(env, preprocess_leases, "preprocess"));
  exports.Set("preprocessPlanes", Napi::Function::New(env, preprocess_planes, "preprocessPlanes"));
}};

}  // namespace
}  // namespace framebus::binding
