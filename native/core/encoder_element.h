// The GStreamer elements that encode: how our options are said to each of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "encode_options.h"
#include "encoder_choice.h"
#include "gst_ptr.h"

namespace framebus {

// A property to set. Versions of an element differ in names and values.
struct ElementProperty {
  std::vector<std::string> names;   // The first one that the element has is set,
  std::vector<std::string> values;  // to the first one that it takes, as gst-launch writes it.
  bool optional = false;            // Left out when there is no such name or value.
};

// What is set on the element of `kind`; keyframes are at most `keyframe_frames` apart.
// Throws Error BAD_OPTIONS (unknown preset, quality above 51).
std::vector<ElementProperty> encoder_properties(EncoderKind kind, const EncodeOptions& options,
                                                uint32_t keyframe_frames);

// Sets them. Throws Error BAD_OPTIONS when the element does not take one that is not optional.
void set_properties(GstElement* element, const std::vector<ElementProperty>& properties);

// A new element. Throws Error ENCODER_FAILED.
GstPtr<GstElement> make_element(const char* factory);

// Elements that bring pictures with these caps into the form that the encoder takes; none
// when it takes them as they are.
std::vector<GstPtr<GstElement>> converters(EncoderKind kind, GstElement* encoder,
                                           const GstCaps* caps);

// What may come out within a second, in kbit; an assumption where nothing limits it.
uint32_t peak_kbps(const EncodeOptions& options);

}  // namespace framebus
