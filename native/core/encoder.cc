#include "encoder.h"

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>

#include <algorithm>
#include <utility>

#include "error.h"
#include "picture_pool.h"

namespace framebus {
namespace {

// Pictures between the caller and x264, which has its own lookahead of none.
constexpr guint kWaitingPictures = 2;
constexpr GstClockTime kDrainDeadline = 2 * GST_SECOND;
// Assumed where the source does not tell its rate; keyframes are forced by time as well.
constexpr uint32_t kAssumedRate = 30;

GstPtr<GstElement> make(const char* factory, const char* name) {
  GstElement* element = gst_element_factory_make(factory, name);
  if (element == nullptr) {
    throw Error("ENCODER_FAILED", std::string("GStreamer has no element ") + factory +
                                      "; install gstreamer1.0-plugins-ugly (x264enc), "
                                      "-bad (h264parse) and -base (appsrc, appsink)");
  }
  return GstPtr<GstElement>(GST_ELEMENT(gst_object_ref_sink(element)));
}

// Without a rate x264 takes its input for variable and keeps every picture back
// until the next one is there.
EncoderOptions with_rate(EncoderOptions options) {
  FrameFormat& f = options.format;
  if (f.frame_rate_numerator == 0 || f.frame_rate_denominator == 0) {
    f.frame_rate_numerator = kAssumedRate;
    f.frame_rate_denominator = 1;
  }
  return options;
}

guint keyframe_distance(const EncoderOptions& options) {
  const FrameFormat& f = options.format;
  const uint64_t frames = uint64_t{f.frame_rate_numerator} * options.keyframe_interval_ms /
                          (uint64_t{f.frame_rate_denominator} * 1000);
  return static_cast<guint>(std::clamp<uint64_t>(frames, 1, 10'000));
}

}  // namespace

Encoder::Encoder(EncoderOptions options, OnUnit on_unit, OnError on_error)
    : options_(with_rate(std::move(options))),
      on_unit_(std::move(on_unit)),
      on_error_(std::move(on_error)) {
  init_gstreamer();
  build();
  listen();
  if (gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE) {
    stop();
    throw Error("ENCODER_FAILED", "output " + options_.name + ": x264enc does not start");
  }
}

Encoder::~Encoder() { stop(); }

GstPtr<GstElement> Encoder::x264() const {
  GstPtr<GstElement> encoder = make("x264enc", nullptr);
  const auto* presets = G_PARAM_SPEC_ENUM(
      g_object_class_find_property(G_OBJECT_GET_CLASS(encoder.get()), "speed-preset"));
  const GEnumValue* preset = g_enum_get_value_by_nick(presets->enum_class, options_.preset.c_str());
  if (preset == nullptr || preset->value == 0) {
    throw Error("BAD_OPTIONS", "output " + options_.name + ": x264 has no preset \"" +
                                   options_.preset + "\"; take one of ultrafast … placebo");
  }
  g_object_set(encoder.get(), "speed-preset", preset->value, "bitrate", options_.bitrate_kbps,
               "bframes", 0U, "key-int-max", keyframe_distance(options_), "threads",
               options_.threads, "byte-stream", FALSE, "aud", FALSE, nullptr);
  gst_util_set_object_arg(G_OBJECT(encoder.get()), "tune", "zerolatency");
  return encoder;
}

void Encoder::build() {
  pipeline_ = GstPtr<GstElement>(GST_ELEMENT(gst_object_ref_sink(gst_pipeline_new(nullptr))));
  source_ = make("appsrc", nullptr);
  encoder_ = x264();
  const GstPtr<GstElement> parser = make("h264parse", nullptr);
  sink_ = make("appsink", nullptr);

  const GstPtr<GstCaps> raw = caps_of(options_.format);
  g_object_set(source_.get(), "caps", raw.get(), "format", GST_FORMAT_TIME, "block", TRUE,
               "max-buffers", guint64{kWaitingPictures}, "max-bytes", guint64{0}, "max-time",
               guint64{0}, nullptr);
  const GstPtr<GstCaps> coded(gst_caps_from_string("video/x-h264,stream-format=avc,alignment=au"));
  g_object_set(sink_.get(), "caps", coded.get(), "sync", FALSE, "max-buffers", 4U, nullptr);

  for (GstElement* element : {source_.get(), encoder_.get(), parser.get(), sink_.get()}) {
    gst_bin_add(GST_BIN(pipeline_.get()), element);
  }
  if (gst_element_link_many(source_.get(), encoder_.get(), parser.get(), sink_.get(), nullptr) ==
      FALSE) {
    throw Error("ENCODER_FAILED", "output " + options_.name + ": x264enc cannot be linked");
  }
}

void Encoder::listen() {
  GstAppSinkCallbacks callbacks{};
  callbacks.new_sample = [](GstAppSink* sink, gpointer self) {
    return static_cast<Encoder*>(self)->pull(GST_ELEMENT(sink));
  };
  gst_app_sink_set_callbacks(GST_APP_SINK(sink_.get()), &callbacks, this, nullptr);

  const GstPtr<GstBus> bus(gst_element_get_bus(pipeline_.get()));
  gst_bus_set_sync_handler(
      bus.get(),
      [](GstBus*, GstMessage* message, gpointer self) {
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS) return GST_BUS_PASS;
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
          GError* error = nullptr;
          gst_message_parse_error(message, &error, nullptr);
          const GstPtr<GError> owned(error);
          static_cast<Encoder*>(self)->fail(owned->message);
        }
        gst_message_unref(message);
        return GST_BUS_DROP;
      },
      this, nullptr);
}

bool Encoder::push(GstPtr<GstBuffer> picture, uint64_t time_ns, uint64_t seq, int64_t pts_ns) {
  if (failed_ || stopped_) return false;
  GST_BUFFER_PTS(picture.get()) = time_ns;
  GST_BUFFER_DTS(picture.get()) = GST_CLOCK_TIME_NONE;
  GST_BUFFER_DURATION(picture.get()) = GST_CLOCK_TIME_NONE;
  {
    const std::lock_guard lock(mutex_);
    pending_.push_back({time_ns, seq, pts_ns});
  }
  if (gst_app_src_push_buffer(GST_APP_SRC(source_.get()), picture.release()) == GST_FLOW_OK) {
    return true;
  }
  const std::lock_guard lock(mutex_);
  std::erase_if(pending_, [time_ns](const Pending& p) { return p.time_ns == time_ns; });
  return false;
}

std::vector<uint64_t> Encoder::take_unfinished() {
  const std::lock_guard lock(mutex_);
  std::vector<uint64_t> seqs;
  for (const Pending& picture : pending_) seqs.push_back(picture.seq);
  pending_.clear();
  return seqs;
}

void Encoder::force_keyframe(uint64_t time_ns) {
  const GstPtr<GstPad> pad(gst_element_get_static_pad(encoder_.get(), "src"));
  gst_pad_send_event(pad.get(), gst_video_event_new_upstream_force_key_unit(time_ns, TRUE, 0));
}

// Pictures come out in order; one that the encoder swallowed is passed over.
bool Encoder::take_pending(uint64_t time_ns, Pending* found) {
  const std::lock_guard lock(mutex_);
  while (!pending_.empty() && pending_.front().time_ns < time_ns) pending_.pop_front();
  if (pending_.empty() || pending_.front().time_ns != time_ns) return false;
  *found = pending_.front();
  pending_.pop_front();
  return true;
}

GstFlowReturn Encoder::pull(GstElement* appsink) {
  const GstPtr<GstSample> sample(gst_app_sink_pull_sample(GST_APP_SINK(appsink)));
  if (sample == nullptr) return GST_FLOW_FLUSHING;
  GstBuffer* buffer = gst_sample_get_buffer(sample.get());
  // x264enc shifts its timestamps, and its segment with them.
  const guint64 time_ns = gst_segment_to_running_time(gst_sample_get_segment(sample.get()),
                                                      GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
  Pending pending{};
  if (!take_pending(time_ns, &pending)) {
    fail("a picture came out of x264enc with a timestamp that never went in");
    return GST_FLOW_ERROR;
  }
  on_unit_(
      AccessUnit{.buffer = buffer,
                 .caps = gst_sample_get_caps(sample.get()),
                 .seq = pending.seq,
                 .pts_ns = pending.pts_ns,
                 .time_ns = pending.time_ns,
                 .keyframe = GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT) == FALSE,
                 .bytes = gst_buffer_get_size(buffer)});
  return GST_FLOW_OK;
}

void Encoder::fail(const std::string& message) {
  if (!failed_.exchange(true)) on_error_("output " + options_.name + ": " + message);
}

void Encoder::drain() {
  if (stopped_ || failed_) return;
  const GstPtr<GstBus> bus(gst_element_get_bus(pipeline_.get()));
  gst_app_src_end_of_stream(GST_APP_SRC(source_.get()));
  const GstPtr<GstMessage> end(
      gst_bus_timed_pop_filtered(bus.get(), kDrainDeadline, GST_MESSAGE_EOS));
  stop();
}

void Encoder::stop() {
  stopped_ = true;
  gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
  const GstPtr<GstBus> bus(gst_element_get_bus(pipeline_.get()));
  gst_bus_set_sync_handler(bus.get(), nullptr, nullptr, nullptr);
}

}  // namespace framebus
