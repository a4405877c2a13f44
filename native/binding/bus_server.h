// BusServer of contract.ts.
#pragma once

#include <napi.h>

#include <memory>

#include "async.h"
#include "core/bus_server.h"

namespace framebus::binding {

struct BusServerArguments {
  BusServerOptions options;
  Napi::Function listener;
};

class BusServerWrap : public Napi::ObjectWrap<BusServerWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit BusServerWrap(const Napi::CallbackInfo& info);

  // For createSource and createProducerPool, which offer their pools here.
  const std::shared_ptr<BusServer>& server() const { return server_; }

 private:
  Napi::Value consumers(const Napi::CallbackInfo& info);
  Napi::Value pools(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<EventChannel<BusServerEvent>> channel_;
  std::shared_ptr<BusServer> server_;
  bool open_ = true;
};

}  // namespace framebus::binding
