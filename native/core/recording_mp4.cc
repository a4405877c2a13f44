#include "recording_mp4.h"

#include <array>
#include <string_view>

#include "error.h"

namespace framebus {
namespace {

// ISO/IEC 14496-12 counts from 1904.
constexpr uint64_t kSecondsTo1970 = 2'082'844'800;
constexpr uint32_t kTrack = 1;
constexpr uint32_t kDefaultBaseIsMoof = 0x02'0000;
// trun: data offset, and each sample's duration, size and flags.
constexpr uint32_t kRunFlags = 0x701;
constexpr uint32_t kSyncSample = 0x0200'0000;
constexpr uint32_t kOtherSample = 0x0101'0000;
constexpr size_t kDurationBytes = 20;

// Boxes, one inside of another, in the order of writing.
class Boxes {
 public:
  void u16(uint64_t value) { put(value, 2); }
  void u32(uint64_t value) { put(value, 4); }
  void u64(uint64_t value) { put(value, 8); }
  void zeros(size_t count) { bytes_.insert(bytes_.end(), count, 0); }
  void text(std::string_view value) {
    for (const char letter : value) bytes_.push_back(static_cast<uint8_t>(letter));
  }
  void append(std::span<const uint8_t> value) {
    bytes_.insert(bytes_.end(), value.begin(), value.end());
  }
  template <class Body>
  void box(std::string_view name, Body body) {
    const size_t at = bytes_.size();
    u32(0);
    text(name);
    body();
    set_u32(at, bytes_.size() - at);
  }
  // A box that begins with a version and flags.
  template <class Body>
  void full(std::string_view name, uint32_t version, uint32_t flags, Body body) {
    box(name, [&] {
      u32(version << 24 | flags);
      body();
    });
  }
  void set_u32(size_t at, uint64_t value) {
    for (size_t i = 4; i > 0; --i, value >>= 8) bytes_[at + i - 1] = static_cast<uint8_t>(value);
  }
  size_t size() const { return bytes_.size(); }
  std::vector<uint8_t> take() { return std::move(bytes_); }

 private:
  void put(uint64_t value, size_t width) {
    for (size_t i = width; i > 0; --i) {
      bytes_.push_back(static_cast<uint8_t>(value >> (8 * (i - 1))));
    }
  }

  std::vector<uint8_t> bytes_;
};

void put_matrix(Boxes& to) {
  for (const uint32_t value : {0x1'0000U, 0U, 0U, 0U, 0x1'0000U, 0U, 0U, 0U, 0x4000'0000U}) {
    to.u32(value);
  }
}

void put_movie_header(Boxes& to, uint64_t made) {
  to.full("mvhd", 1, 0, [&] {
    to.u64(made);
    to.u64(made);
    to.u32(kMp4TicksPerSecond);
    to.u64(0);  // The duration is that of the fragments.
    to.u32(0x1'0000);
    to.u16(0x100);
    to.zeros(10);
    put_matrix(to);
    to.zeros(24);
    to.u32(kTrack + 1);
  });
}

void put_track_header(Boxes& to, const Mp4Track& track, uint64_t made) {
  to.full("tkhd", 1, 7, [&] {
    to.u64(made);
    to.u64(made);
    to.u32(kTrack);
    to.u32(0);
    to.u64(0);
    to.zeros(16);
    put_matrix(to);
    to.u32((uint64_t{track.width} << 16) * track.pixel_aspect_numerator /
           track.pixel_aspect_denominator);
    to.u32(uint64_t{track.height} << 16);
  });
}

void put_sample_entry(Boxes& to, const Mp4Track& track) {
  to.box(track.entry, [&] {
    to.zeros(6);
    to.u16(1);
    to.zeros(16);
    to.u16(track.width);
    to.u16(track.height);
    to.u32(0x48'0000);
    to.u32(0x48'0000);
    to.u32(0);
    to.u16(1);
    to.zeros(32);
    to.u16(0x18);
    to.u16(0xFFFF);
    to.box(track.configuration, [&] { to.append(track.parameters); });
    to.box("pasp", [&] {
      to.u32(track.pixel_aspect_numerator);
      to.u32(track.pixel_aspect_denominator);
    });
  });
}

void put_sample_table(Boxes& to, const Mp4Track& track) {
  to.box("stbl", [&] {
    to.full("stsd", 0, 0, [&] {
      to.u32(1);
      put_sample_entry(to, track);
    });
    to.full("stts", 0, 0, [&] { to.u32(0); });
    to.full("stsc", 0, 0, [&] { to.u32(0); });
    to.full("stsz", 0, 0, [&] { to.u64(0); });
    to.full("stco", 0, 0, [&] { to.u32(0); });
  });
}

void put_media(Boxes& to, const Mp4Track& track, uint64_t made) {
  to.box("mdia", [&] {
    to.full("mdhd", 1, 0, [&] {
      to.u64(made);
      to.u64(made);
      to.u32(kMp4TicksPerSecond);
      to.u64(0);
      to.u32(0x55C4'0000);  // Language "und".
    });
    to.full("hdlr", 0, 0, [&] {
      to.u32(0);
      to.text("vide");
      to.zeros(12);
      to.text(std::string_view("framebus", 9));  // With its zero.
    });
    to.box("minf", [&] {
      to.full("vmhd", 0, 1, [&] { to.zeros(8); });
      to.box("dinf", [&] {
        to.full("dref", 0, 0, [&] {
          to.u32(1);
          to.full("url ", 0, 1, [] {});
        });
      });
      put_sample_table(to, track);
    });
  });
}

}  // namespace

Mp4Track mp4_track(const GstCaps* caps) {
  const GstStructure* structure = gst_caps_get_structure(caps, 0);
  const bool h265 = gst_structure_has_name(structure, "video/x-h265") != FALSE;
  gint width = 0;
  gint height = 0;
  const GValue* value = gst_structure_get_value(structure, "codec_data");
  GstBuffer* parameters =
      value != nullptr && GST_VALUE_HOLDS_BUFFER(value) ? gst_value_get_buffer(value) : nullptr;
  if (parameters == nullptr || gst_structure_get_int(structure, "width", &width) == FALSE ||
      gst_structure_get_int(structure, "height", &height) == FALSE) {
    throw Error("RECORDING_FAILED", "recording: the encoder's pictures are not in AVC or HVC form");
  }
  Mp4Track track{.entry = h265 ? "hvc1" : "avc1",
                 .configuration = h265 ? "hvcC" : "avcC",
                 .parameters = {},
                 .width = static_cast<uint32_t>(width),
                 .height = static_cast<uint32_t>(height)};
  const BufferBytes bytes(parameters);
  track.parameters.assign(bytes.data(), bytes.data() + bytes.size());
  gint numerator = 1;
  gint denominator = 1;
  if (gst_structure_get_fraction(structure, "pixel-aspect-ratio", &numerator, &denominator) !=
          FALSE &&
      numerator > 0 && denominator > 0) {
    track.pixel_aspect_numerator = static_cast<uint32_t>(numerator);
    track.pixel_aspect_denominator = static_cast<uint32_t>(denominator);
  }
  return track;
}

Mp4Header mp4_header(const Mp4Track& track, uint64_t unix_seconds) {
  Boxes to;
  size_t duration_at = 0;
  const uint64_t made = unix_seconds + kSecondsTo1970;
  to.box("ftyp", [&] {
    to.text("iso6");
    to.u32(0);
    to.text("iso6iso5mp41");
  });
  to.box("moov", [&] {
    put_movie_header(to, made);
    to.box("trak", [&] {
      put_track_header(to, track, made);
      put_media(to, track, made);
    });
    to.box("mvex", [&] {
      duration_at = to.size();
      to.box("free", [&] { to.zeros(kDurationBytes - 8); });
      to.full("trex", 0, 0, [&] {
        to.u32(kTrack);
        to.u32(1);
        to.zeros(12);
      });
    });
  });
  return {to.take(), duration_at};
}

std::vector<uint8_t> mp4_duration(uint64_t ticks) {
  Boxes to;
  to.full("mehd", 1, 0, [&] { to.u64(ticks); });
  return to.take();
}

std::vector<uint8_t> mp4_fragment(uint32_t sequence, uint64_t first_ticks,
                                  std::span<const Mp4Sample> samples) {
  Boxes to;
  size_t offset_at = 0;
  uint64_t data_bytes = 0;
  to.box("moof", [&] {
    to.full("mfhd", 0, 0, [&] { to.u32(sequence); });
    to.box("traf", [&] {
      to.full("tfhd", 0, kDefaultBaseIsMoof, [&] { to.u32(kTrack); });
      to.full("tfdt", 1, 0, [&] { to.u64(first_ticks); });
      to.full("trun", 0, kRunFlags, [&] {
        to.u32(samples.size());
        offset_at = to.size();
        to.u32(0);
        for (const Mp4Sample& sample : samples) {
          to.u32(sample.duration_ticks);
          to.u32(sample.bytes);
          to.u32(sample.keyframe ? kSyncSample : kOtherSample);
          data_bytes += sample.bytes;
        }
      });
    });
  });
  to.set_u32(offset_at, to.size() + 8);
  to.u32(data_bytes + 8);
  to.text("mdat");
  return to.take();
}

std::vector<uint8_t> mp4_index(std::span<const Mp4Seek> seeks) {
  Boxes to;
  to.box("mfra", [&] {
    to.full("tfra", 1, 0, [&] {
      to.u32(kTrack);
      to.u32(0);  // The three numbers after each offset take a byte each.
      to.u32(seeks.size());
      for (const Mp4Seek& seek : seeks) {
        to.u64(seek.ticks);
        to.u64(seek.offset);
        to.append(std::array<uint8_t, 3>{1, 1, 1});
      }
    });
    to.full("mfro", 0, 0, [&] { to.u32(to.size() + 4); });
  });
  return to.take();
}

}  // namespace framebus
