// Arguments and results of preprocessing, for every function that does it.
#pragma once

#include <napi.h>

#include <vector>

#include "convert.h"
#include "core/leased_part.h"
#include "core/preprocess.h"

namespace framebus::binding {

// `PreprocessFrame[]` of contract.ts. Throws FRAME_RELEASED.
std::vector<LeasedPart> frames_argument(const Napi::CallbackInfo& info, size_t index);
// PreprocessSpec of contract.ts.
PreprocessSpec preprocess_spec_from_js(const Fields& fields);
// PreprocessGeometry of contract.ts.
Napi::Object geometry_to_js(Napi::Env env, const PreprocessGeometry& geometry);

}  // namespace framebus::binding
