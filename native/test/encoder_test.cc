// Encoder: each encoder that runs on a CPU writes what was asked of it, and a decoder takes it.
#include "core/encoder.h"

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>

#include <array>
#include <cmath>
#include <cstdio>

#include "check.h"
#include "core/picture_pool.h"
#include "core/random_access.h"
#include "output_kit.h"

namespace {

using namespace framebus;
using namespace framebus::test;

constexpr uint64_t kStepNs = 40'000'000;

struct Unit {
  uint64_t seq;
  bool keyframe;
  size_t bytes;
  GstPtr<GstBuffer> buffer;
};

// An encoder, fed at once, and what comes out.
class Bench {
 public:
  Bench(const FrameFormat& format, const EncodeOptions& encode)
      : format_(format), pool_((init_gstreamer(), format)) {
    encoder_ = std::make_unique<Encoder>(
        EncoderOptions{.name = "test", .format = format, .encode = encode},
        [this](const AccessUnit& unit) {
          caps_ = share(unit.caps);
          units_.push_back({unit.seq, unit.keyframe, unit.bytes, share(unit.buffer)});
        },
        [this](const std::string& message) { error_ = message; });
  }
  void push(const Lease& picture, bool keyframe = false) {
    const uint64_t time_ns = next_ * kStepNs;
    if (keyframe) encoder_->force_keyframe(time_ns);
    CHECK(encoder_->push(pool_.copy(picture.read().view()), time_ns, next_,
                         static_cast<int64_t>(time_ns)));
    ++next_;
  }
  // To the end of it.
  const std::vector<Unit>& units() {
    encoder_->drain();
    if (!error_.empty()) throw Failure(error_);
    return units_;
  }
  size_t bytes(size_t from, size_t to) {
    size_t sum = 0;
    for (size_t n = from; n < to; ++n) sum += units().at(n).bytes;
    return sum;
  }
  // Luma in the middle of each decoded picture.
  std::vector<int> decode();

 private:
  const FrameFormat format_;
  PicturePool pool_;
  uint64_t next_ = 0;
  std::vector<Unit> units_;
  GstPtr<GstCaps> caps_;
  std::string error_;
  std::unique_ptr<Encoder> encoder_;
};

std::vector<int> Bench::decode() {
  const bool h264 = gst_structure_has_name(gst_caps_get_structure(caps_.get(), 0), "video/x-h264");
  const std::string launch = std::string("appsrc name=source format=time ! ") +
                             (h264 ? "h264parse ! avdec_h264" : "h265parse ! avdec_h265") +
                             " max-threads=1 ! appsink name=sink sync=false";
  const GstPtr<GstElement> pipeline(gst_parse_launch(launch.c_str(), nullptr));
  gst_object_ref_sink(pipeline.get());
  const GstPtr<GstElement> source(gst_bin_get_by_name(GST_BIN(pipeline.get()), "source"));
  const GstPtr<GstElement> sink(gst_bin_get_by_name(GST_BIN(pipeline.get()), "sink"));
  gst_app_src_set_caps(GST_APP_SRC(source.get()), caps_.get());
  gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
  for (const Unit& unit : units()) {
    GstPtr<GstBuffer> copy(gst_buffer_copy(unit.buffer.get()));
    GST_BUFFER_PTS(copy.get()) = GST_BUFFER_DTS(copy.get()) = unit.seq * kStepNs;
    gst_app_src_push_buffer(GST_APP_SRC(source.get()), copy.release());
  }
  gst_app_src_end_of_stream(GST_APP_SRC(source.get()));
  std::vector<int> luma;
  while (true) {
    const GstPtr<GstSample> sample(
        gst_app_sink_try_pull_sample(GST_APP_SINK(sink.get()), 60 * GST_SECOND));
    if (sample == nullptr) break;
    const PictureMap map(gst_sample_get_buffer(sample.get()),
                         format_of(format_.width, format_.height), GST_MAP_READ);
    const FrameView view = map.view();
    luma.push_back(view.data[0][size_t{view.stride[0]} * (format_.height / 2) + format_.width / 2]);
  }
  gst_element_set_state(pipeline.get(), GST_STATE_NULL);
  return luma;
}

// One grey, a little brighter each time.
class GreyLease : public Lease {
 public:
  GreyLease(const FrameFormat& format, uint64_t n) : format_(format) {
    luma_.assign(size_t{format.width} * format.height, static_cast<uint8_t>(40 + 4 * n));
    chroma_.assign(luma_.size() / 2, 128);
  }
  const FrameFormat& format() const override { return format_; }
  FrameRead read() const override {
    FrameView view{.format = format_};
    const bool nv12 = format_.pixel_format == PixelFormat::kNv12;
    view.data = {luma_.data(), chroma_.data(), chroma_.data() + chroma_.size() / 2};
    view.stride = {format_.width, nv12 ? format_.width : format_.width / 2, format_.width / 2};
    return FrameRead(view);
  }
  bool valid() const override { return true; }

 protected:
  const FrameFormat format_;
  std::vector<uint8_t> luma_;
  std::vector<uint8_t> chroma_;
};

// A texture that moves by `speed` pixels each time, under some noise.
class TextureLease : public GreyLease {
 public:
  TextureLease(const FrameFormat& format, uint64_t n, uint32_t speed) : GreyLease(format, 0) {
    uint32_t noise = static_cast<uint32_t>(n * speed) * 2'654'435'761U + 1;
    for (uint32_t y = 0; y < format.height; ++y) {
      for (uint32_t x = 0; x < format.width; ++x) {
        noise = noise * 1'664'525U + 1'013'904'223U;
        const double at = static_cast<double>(x + n * speed);
        const double wave = 50 * std::sin(at / 7) * std::cos(y / 5.0) + (noise >> 28);
        luma_[size_t{format.width} * y + x] = static_cast<uint8_t>(120 + wave);
      }
    }
  }
};

struct Subject {
  const char* name;
  VideoCodec codec;
  EncoderKind encoder;
};
constexpr std::array kSubjects{Subject{"x264", VideoCodec::kH264, EncoderKind::kX264},
                               Subject{"openh264", VideoCodec::kH264, EncoderKind::kOpenh264},
                               Subject{"x265", VideoCodec::kH265, EncoderKind::kX265}};

EncodeOptions encode_with(const Subject& subject) {
  EncodeOptions options;
  options.codec = subject.codec;
  options.encoder = subject.encoder;
  options.preset = "ultrafast";
  options.threads = 1;
  return options;
}

// Of which subject and what a failure is.
#define CHECK_OF(subject, condition)                                                              \
  do {                                                                                            \
    if (!(condition)) throw Failure(std::string((subject).name) + ": " __FILE__ ": " #condition); \
  } while (false)

TEST("every picture comes out once, in order, and is decoded in order") {
  for (const Subject& subject : kSubjects) {
    for (const PixelFormat pixels : {PixelFormat::kI420, PixelFormat::kNv12}) {
      const FrameFormat format = format_of(160, 96, pixels);
      EncodeOptions encode = encode_with(subject);
      encode.threads = 0;
      Bench bench(format, encode);
      for (uint64_t n = 0; n < 40; ++n) bench.push(GreyLease(format, n));
      const std::vector<Unit>& units = bench.units();
      CHECK_OF(subject, units.size() == 40);
      for (size_t n = 0; n < units.size(); ++n) CHECK_OF(subject, units[n].seq == n);
      CHECK_OF(subject, units[0].keyframe);
      const std::vector<int> luma = bench.decode();
      CHECK_OF(subject, luma.size() == 40);
      // B-frames would come out of order.
      for (size_t n = 0; n < luma.size(); ++n)
        CHECK_OF(subject, std::abs(luma[n] - static_cast<int>(40 + 4 * n)) <= 1);
    }
  }
}

TEST("keyframes come at their distance and on demand, and decoding starts there") {
  for (const Subject& subject : kSubjects) {
    const FrameFormat format = format_of(160, 96);
    EncodeOptions encode = encode_with(subject);
    encode.keyframe_interval_ms = 400;
    Bench bench(format, encode);
    for (uint64_t n = 0; n < 30; ++n) bench.push(TextureLease(format, n, 1));
    std::vector<uint64_t> keyframes;
    for (const Unit& unit : bench.units()) {
      if (unit.keyframe) keyframes.push_back(unit.seq);
    }
    CHECK_OF(subject, (keyframes == std::vector<uint64_t>{0, 10, 20}));

    encode.keyframe_interval_ms = 60'000;
    Bench asked(format, encode);
    for (uint64_t n = 0; n < 30; ++n) asked.push(TextureLease(format, n, 1), n == 7 || n == 19);
    keyframes.clear();
    for (const Unit& unit : asked.units()) {
      if (unit.keyframe) keyframes.push_back(unit.seq);
    }
    CHECK_OF(subject, (keyframes == std::vector<uint64_t>{0, 7, 19}));
  }
}

size_t seconds_of(const Subject& subject, const EncodeOptions& encode, size_t from, size_t to) {
  const FrameFormat format = format_of(320, 240);
  Bench bench(format, encode);
  // A still picture for two seconds, then a busy one.
  for (uint64_t n = 0; n < 100; ++n) bench.push(TextureLease(format, n, n < 50 ? 0 : 5));
  const size_t bytes = bench.bytes(from, to);
  std::printf("# %s: %zu bytes in pictures %zu to %zu\n", subject.name, bytes, from, to);
  return bytes;
}

TEST("a constant bitrate is kept") {
  for (const Subject& subject : kSubjects) {
    EncodeOptions encode = encode_with(subject);
    encode.bitrate_kbps = 600;
    const size_t low = seconds_of(subject, encode, 50, 100);
    encode.bitrate_kbps = 2400;
    const size_t high = seconds_of(subject, encode, 50, 100);
    // Two seconds.
    CHECK_OF(subject, low > 75'000 && low < 300'000);
    CHECK_OF(subject, high > 300'000 && high < 1'200'000);
    CHECK_OF(subject, high > 2 * low);
  }
}

TEST("a variable bitrate gives a busy picture what a still one has saved") {
  for (const Subject& subject : kSubjects) {
    EncodeOptions encode = encode_with(subject);
    encode.bitrate_kbps = 600;
    const size_t constant = seconds_of(subject, encode, 50, 100);
    encode.rate_control = RateControl::kVbr;
    encode.max_bitrate_kbps = 1800;
    const size_t variable = seconds_of(subject, encode, 50, 100);
    CHECK_OF(subject, variable < 900'000);
    // OpenH264's rate control saves nothing up.
    if (subject.encoder != EncoderKind::kOpenh264) CHECK_OF(subject, variable * 10 > constant * 12);
  }
}

TEST("a constant quality takes what it needs, up to its limit") {
  for (const Subject& subject : kSubjects) {
    EncodeOptions encode = encode_with(subject);
    encode.rate_control = RateControl::kQuality;
    encode.quality = 20;
    const size_t good = seconds_of(subject, encode, 50, 100);
    encode.quality = 38;
    const size_t bad = seconds_of(subject, encode, 50, 100);
    CHECK_OF(subject, good > 3 * bad);
    encode.quality = 20;
    encode.max_bitrate_kbps = static_cast<uint32_t>(good * 8 / 2000 / 3);
    const size_t limited = seconds_of(subject, encode, 50, 100);
    CHECK_OF(subject, limited < good * 2 / 3);
  }
}

TEST("only IDR and IRAP pictures are places to start") {
  const std::array<uint8_t, 11> idr{0, 0, 0, 2, 0x06, 0xFF, 0, 0, 0, 1, 0x65};
  const std::array<uint8_t, 11> intra{0, 0, 0, 2, 0x06, 0xFF, 0, 0, 0, 1, 0x61};
  CHECK(is_random_access(VideoCodec::kH264, idr));
  CHECK(!is_random_access(VideoCodec::kH264, intra));
  const auto h265 = [](int type) {
    const std::array<uint8_t, 6> bytes{0, 0, 0, 2, static_cast<uint8_t>(type << 1), 1};
    return is_random_access(VideoCodec::kH265, bytes);
  };
  CHECK(!h265(1) && !h265(9) && h265(16) && h265(19) && h265(20) && h265(21) && !h265(33));
  // Lengths that lie.
  const std::array<uint8_t, 5> torn{0xFF, 0xFF, 0xFF, 0xFF, 0x41};
  CHECK(!is_random_access(VideoCodec::kH264, torn));
  CHECK(!is_random_access(VideoCodec::kH264, {}));
}

}  // namespace

int main() { return framebus::test::run_all(); }
