// Elements of GStreamer, made by name.
#pragma once

#include "gst_ptr.h"

namespace framebus {

// `code`: a literal. Throws Error with it when the element is not installed.
GstPtr<GstElement> make_element(const char* factory, const char* code);

}  // namespace framebus
