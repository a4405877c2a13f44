#include "encoder.h"

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>

#include <algorithm>
#include <utility>

#include "encoder_element.h"
#include "error.h"
#include "picture_pool.h"
#include "random_access.h"

namespace framebus {
namespace {

// Pictures between the caller and the encoder, which has a lookahead of none.
constexpr guint kWaitingPictures = 2;
constexpr GstClockTime kDrainDeadline = 2 * GST_SECOND;
// Assumed where the source does not tell its rate; keyframes are forced by time as well.
constexpr uint32_t kAssumedRate = 30;

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

uint32_t keyframe_distance(const EncoderOptions& options) {
  const FrameFormat& f = options.format;
  const uint64_t frames = uint64_t{f.frame_rate_numerator} * options.encode.keyframe_interval_ms /
                          (uint64_t{f.frame_rate_denominator} * 1000);
  return static_cast<uint32_t>(std::clamp<uint64_t>(frames, 1, 10'000));
}

// What an access unit is; see access_unit.h.
const char* coded_caps(VideoCodec codec) {
  return codec == VideoCodec::kH264 ? "video/x-h264,stream-format=avc,alignment=au"
                                    : "video/x-h265,stream-format=hvc1,alignment=au";
}

}  // namespace

Encoder::Encoder(EncoderOptions options, OnUnit on_unit, OnError on_error)
    : options_(with_rate(std::move(options))),
      choice_(choose_encoder(options_.encode.codec, options_.encode.encoder, this_machine())),
      on_unit_(std::move(on_unit)),
      on_error_(std::move(on_error)) {
  build();
  listen();
  if (gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE) {
    stop();
    throw Error("ENCODER_FAILED",
                "output " + options_.name + ": " + choice_.element + " does not start");
  }
}

Encoder::~Encoder() { stop(); }

// All elements, in their order.
std::vector<GstPtr<GstElement>> Encoder::chain(const GstCaps* raw) {
  const EncodeOptions& encode = options_.encode;
  source_ = make_element("appsrc");
  encoder_ = make_element(choice_.element);
  sink_ = make_element("appsink");
  set_properties(encoder_.get(),
                 encoder_properties(choice_.kind, encode, keyframe_distance(options_)));
  std::vector<GstPtr<GstElement>> elements;
  elements.push_back(share(source_.get()));
  for (GstPtr<GstElement>& converter : converters(choice_.kind, encoder_.get(), raw))
    elements.push_back(std::move(converter));
  elements.push_back(share(encoder_.get()));
  elements.push_back(make_element(encode.codec == VideoCodec::kH264 ? "h264parse" : "h265parse"));
  elements.push_back(share(sink_.get()));
  return elements;
}

void Encoder::build() {
  pipeline_ = GstPtr<GstElement>(GST_ELEMENT(gst_object_ref_sink(gst_pipeline_new(nullptr))));
  const GstPtr<GstCaps> raw = caps_of(options_.format);
  const std::vector<GstPtr<GstElement>> elements = chain(raw.get());
  g_object_set(source_.get(), "caps", raw.get(), "format", GST_FORMAT_TIME, "block", TRUE,
               "max-buffers", guint64{kWaitingPictures}, "max-bytes", guint64{0}, "max-time",
               guint64{0}, nullptr);
  const GstPtr<GstCaps> coded(gst_caps_from_string(coded_caps(options_.encode.codec)));
  g_object_set(sink_.get(), "caps", coded.get(), "sync", FALSE, "max-buffers", 4U, nullptr);

  for (const auto& element : elements) gst_bin_add(GST_BIN(pipeline_.get()), element.get());
  for (size_t n = 1; n < elements.size(); ++n) {
    if (gst_element_link(elements[n - 1].get(), elements[n].get()) == FALSE) {
      throw Error("ENCODER_FAILED",
                  "output " + options_.name + ": " + choice_.element + " cannot be linked");
    }
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
  // The Jetson's encoders do not know GStreamer's event.
  if (g_signal_lookup("force-IDR", G_OBJECT_TYPE(encoder_.get())) != 0) {
    g_signal_emit_by_name(encoder_.get(), "force-IDR");
    return;
  }
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
  // x264enc and x265enc shift their timestamps, and their segment with them.
  const guint64 time_ns = gst_segment_to_running_time(gst_sample_get_segment(sample.get()),
                                                      GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
  Pending pending{};
  if (!take_pending(time_ns, &pending)) {
    fail(std::string("a picture came out of ") + choice_.element +
         " with a timestamp that never went in");
    return GST_FLOW_ERROR;
  }
  const BufferBytes bytes(buffer);
  on_unit_(
      AccessUnit{.buffer = buffer,
                 .caps = gst_sample_get_caps(sample.get()),
                 .seq = pending.seq,
                 .pts_ns = pending.pts_ns,
                 .time_ns = pending.time_ns,
                 .keyframe = is_random_access(options_.encode.codec, {bytes.data(), bytes.size()}),
                 .bytes = bytes.size()});
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
