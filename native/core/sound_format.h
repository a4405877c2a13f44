// Formats of sound that go from one file into another as they are.
#pragma once

#include <gst/gst.h>

namespace framebus {

struct SoundFormat {
  const char* name;    // For people.
  const char* caps;    // GStreamer's description.
  const char* parser;  // Element that brings it into the form that muxers take; null for none.
  bool in_mp4;
  bool in_matroska;
};

// Null: no container that we write holds it. GStreamer must have been initialised.
const SoundFormat* sound_format(const GstCaps* caps);

}  // namespace framebus
