// EncodeOptions of contract.ts, and which encoder there is.
#pragma once

#include <napi.h>

#include "convert.h"
#include "core/encode_options.h"

namespace framebus::binding {

EncodeOptions encode_options_from_js(const Fields& fields);

}  // namespace framebus::binding
