// Which encoder a machine has for a codec.
#pragma once

#include <functional>
#include <string>

#include "encode_options.h"

namespace framebus {

// What the choice looks at. Nothing of it opens a device: on boards without an encoder
// that can hang the system.
struct EncoderProbe {
  std::function<bool(const std::string& name)> has_element;  // GStreamer's registry knows it.
  std::function<bool(const std::string& path)> has_path;
};

EncoderProbe this_machine();

struct EncoderChoice {
  EncoderKind kind;     // Never kAuto.
  const char* element;  // GStreamer's name; a literal.
  std::string reason;   // For people.
};

// kAuto: a Jetson's encoder, else NVENC, else a software encoder. Throws Error
// ENCODER_MISSING (what is asked for is not there) and BAD_OPTIONS (an encoder of
// another codec).
EncoderChoice choose_encoder(VideoCodec codec, EncoderKind wanted, const EncoderProbe& probe);

const char* name_of(VideoCodec codec);
const char* name_of(EncoderKind kind);

}  // namespace framebus
