// Tiler of contract.ts.
#include "core/tiler.h"

#include <napi.h>

#include <memory>
#include <string>
#include <utility>

#include "async.h"
#include "convert.h"
#include "module.h"
#include "output.h"

namespace framebus::binding {
namespace {

struct TilerArguments {
  std::shared_ptr<Output> output;
  TilerOptions options;
};

class TilerWrap : public Napi::ObjectWrap<TilerWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Tiler",
        {InstanceMethod<&TilerWrap::show>("show"), InstanceMethod<&TilerWrap::skipped>("skipped"),
         InstanceMethod<&TilerWrap::close>("close")});
  }
  explicit TilerWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TilerWrap>(info) {
    auto arguments = take_arguments<TilerArguments>(info);
    tiler_ = guarded(info.Env(), [&] {
      return std::make_shared<Tiler>(std::move(arguments.output), arguments.options);
    });
    Ref();  // Open tilers are not garbage, whoever forgets them.
  }

 private:
  void show(const Napi::CallbackInfo& info) {
    const std::string name = string_argument(info, 0, "name");
    const bool none = info[1].IsNull();
    tiler_->show(name, none ? nullptr : unwrap<OutputWrap>(info[1], "output")->output());
  }
  Napi::Value skipped(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(tiler_->skipped()));
  }
  Napi::Value close(const Napi::CallbackInfo& info) {
    if (std::exchange(open_, false)) Unref();
    return run_async(info.Env(), "framebus tiler close", [tiler = tiler_] { tiler->close(); });
  }

  std::shared_ptr<Tiler> tiler_;
  bool open_ = true;
};

Napi::Value create_tiler(const Napi::CallbackInfo& info) {
  const OutputWrap* output = unwrap<OutputWrap>(info[0], "output");
  const Fields fields(info, 1, "options");
  return new_instance<TilerWrap>(info.Env(),
                                 TilerArguments{.output = output->output(),
                                                .options = {.fps = fields.uint32("fps"),
                                                            .columns = fields.uint32("columns"),
                                                            .stale_ms = fields.uint32("staleMs")}});
}

const Module kModule{[](Napi::Env env, Napi::Object exports) {
  register_class<TilerWrap>(env, TilerWrap::define(env));
  exports.Set("createTiler", Napi::Function::New(env, &create_tiler, "createTiler"));
}};

}  // namespace
}  // namespace framebus::binding
