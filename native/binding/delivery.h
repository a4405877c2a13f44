// DeliveryEnd and `delivery` of contract.ts; for sources and producer pools.
#pragma once

#include <napi.h>

#include "core/frame_pool.h"

namespace framebus::binding {

inline Napi::Value to_js(Napi::Env env, DeliveryEnd end) {
  switch (end) {
    case DeliveryEnd::kClosed:
      return Napi::String::New(env, "closed");
    case DeliveryEnd::kTaken:
      return Napi::String::New(env, "taken");
    case DeliveryEnd::kUndecided:
      return Napi::String::New(env, "undecided");
    case DeliveryEnd::kGone:
      break;
  }
  return Napi::String::New(env, "gone");
}

inline Napi::Value to_js(Napi::Env env, Delivery delivery) {
  switch (delivery) {
    case Delivery::kNone:
      return Napi::String::New(env, "none");
    case Delivery::kHeld:
      return Napi::String::New(env, "held");
    case Delivery::kReleased:
      return Napi::String::New(env, "released");
    case Delivery::kGone:
      break;
  }
  return Napi::String::New(env, "gone");
}

}  // namespace framebus::binding
