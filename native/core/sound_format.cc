#include "sound_format.h"

#include <array>

#include "gst_ptr.h"

namespace framebus {
namespace {

constexpr std::array kFormats{
    SoundFormat{"AAC", "audio/mpeg, mpegversion=(int){2, 4}", "aacparse", true, true},
    SoundFormat{"MP3", "audio/mpeg, mpegversion=(int)1, layer=(int)3", "mpegaudioparse", true,
                true},
    SoundFormat{"MPEG audio", "audio/mpeg, mpegversion=(int)1, layer=(int)[1, 2]", "mpegaudioparse",
                false, true},
    SoundFormat{"AC-3", "audio/x-ac3", "ac3parse", true, true},
    SoundFormat{"E-AC-3", "audio/x-eac3", "ac3parse", false, true},
    SoundFormat{"Opus", "audio/x-opus", "opusparse", true, true},
    SoundFormat{"Vorbis", "audio/x-vorbis", nullptr, false, true},
    SoundFormat{"FLAC", "audio/x-flac", "flacparse", false, true},
    SoundFormat{"ALAC", "audio/x-alac", nullptr, true, false},
    SoundFormat{"PCM", "audio/x-raw, format=(string){U8, S16LE, S24LE, S32LE, F32LE, F64LE}",
                nullptr, false, true},
};

}  // namespace

const SoundFormat* sound_format(const GstCaps* caps) {
  for (const SoundFormat& format : kFormats) {
    const GstPtr<GstCaps> known(gst_caps_from_string(format.caps));
    if (gst_caps_can_intersect(caps, known.get()) != FALSE) return &format;
  }
  return nullptr;
}

}  // namespace framebus
