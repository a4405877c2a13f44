// probeMedia of contract.ts.
#include <gst/gst.h>
#include <napi.h>

#include <string>

#include "convert.h"
#include "core/source_pipeline.h"
#include "module.h"

namespace framebus::binding {
namespace {

bool has_element(const std::string& name) {
  const GstPtr<GstElementFactory> factory(gst_element_factory_find(name.c_str()));
  return factory != nullptr;
}

Napi::Value probe_media(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsArray()) {
    Napi::TypeError error = Napi::TypeError::New(env, "Expected string[] for elements");
    error.Set("code", Napi::String::New(env, "BAD_ARGUMENT"));
    throw error;
  }
  prepare_decoders();
  guint major = 0;
  guint minor = 0;
  guint micro = 0;
  guint nano = 0;
  gst_version(&major, &minor, &micro, &nano);
  const Napi::Array names = info[0].As<Napi::Array>();
  Napi::Object elements = Napi::Object::New(env);
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).ToString().Utf8Value();
    elements.Set(name, has_element(name));
  }
  Napi::Object probe = Napi::Object::New(env);
  probe.Set("gstreamerVersion",
            std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(micro));
  probe.Set("elements", elements);
  return probe;
}

const Module kModule{[](Napi::Env env, Napi::Object exports) {
  exports.Set("probeMedia", Napi::Function::New(env, &probe_media, "probeMedia"));
}};

}  // namespace
}  // namespace framebus::binding
