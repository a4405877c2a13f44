// RecordingOptions of contract_recording.ts.
#pragma once

#include "convert.h"
#include "core/recording.h"

namespace framebus::binding {

RecordingOptions recording_options_from_js(const Fields& fields);

}  // namespace framebus::binding
