// A slot's memory as JavaScript sees it: planes without a copy, gone when the
// frame is let go.
#pragma once

#include <napi.h>

#include <cstdint>

#include "core/frame_view.h"

namespace framebus::binding {

// `Plane[]` of contract.ts over a buffer of layout.slot_bytes.
Napi::Array planes_over(Napi::Env env, const Napi::ArrayBuffer& buffer, const FrameFormat& format,
                        const PlaneLayout& layout);

class SlotBuffer {
 public:
  // `Plane[]` of contract.ts over `data` (borrowed; of layout.slot_bytes).
  // The views keep `owner`, and with it the memory, alive.
  Napi::Array planes(const Napi::Object& owner, uint8_t* data, const FrameFormat& format,
                     const PlaneLayout& layout);
  // Views that there are have length 0 from now on.
  void detach();

 private:
  Napi::Reference<Napi::ArrayBuffer> buffer_;  // Weak.
};

}  // namespace framebus::binding
