#include "gst_element.h"

#include <string>

#include "error.h"

namespace framebus {

GstPtr<GstElement> make_element(const char* factory, const char* code) {
  GstElement* element = gst_element_factory_make(factory, nullptr);
  if (element == nullptr) {
    throw Error(code, std::string("GStreamer has no element ") + factory +
                          "; \"framebus doctor\" says which package brings it");
  }
  return GstPtr<GstElement>(GST_ELEMENT(gst_object_ref_sink(element)));
}

}  // namespace framebus
