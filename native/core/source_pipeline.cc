#include "source_pipeline.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "error.h"
#include "source_error.h"
#include "video_caps.h"

namespace framebus {

namespace {

constexpr const char* kWakeMessage = "framebus-wake";
constexpr uint32_t kMaxLibavThreads = 16;  // avdec's own limit.
constexpr guint kJitterBufferMs = 200;     // Packets may be that much out of order.
constexpr guint64 kConnectTimeoutUs = 5'000'000;
constexpr guint kHttpTimeoutSeconds = 10;
constexpr gint kRtspTcp = 0x4;  // GstRTSPLowerTrans.
constexpr gint kRtspUdp = 0x1;

bool has_property(GstElement* element, const char* name) {
  return g_object_class_find_property(G_OBJECT_GET_CLASS(element), name) != nullptr;
}

std::string factory_name(GstElement* element) {
  GstElementFactory* factory = gst_element_get_factory(element);
  return factory != nullptr ? gst_plugin_feature_get_name(factory) : "";
}

bool is_video_decoder(GstElement* element) {
  GstElementFactory* factory = gst_element_get_factory(element);
  return factory != nullptr &&
         gst_element_factory_list_is_type(
             factory, GST_ELEMENT_FACTORY_TYPE_DECODER | GST_ELEMENT_FACTORY_TYPE_MEDIA_VIDEO |
                          GST_ELEMENT_FACTORY_TYPE_MEDIA_IMAGE) != FALSE;
}

bool is_nvdec(GstElementFactory* factory) {
  const gchar* plugin = gst_plugin_feature_get_plugin_name(GST_PLUGIN_FEATURE(factory));
  return plugin != nullptr && std::string_view(plugin) == "nvcodec";
}

bool on_gpu(MemoryKind kind) { return kind == MemoryKind::kCuda || kind == MemoryKind::kCudaIpc; }

uint32_t cores() {
  const long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? static_cast<uint32_t>(count) : 1;
}

// Lets one buffer through, so that decodebin sees the stream's caps, and tells the
// demuxer that nobody wants more.
GstPadProbeReturn end_after_one(GstPad*, GstPadProbeInfo* info, gpointer seen) {
  auto& any = *static_cast<gboolean*>(seen);
  if (any == FALSE) {
    any = TRUE;
    return GST_PAD_PROBE_OK;
  }
  gst_mini_object_unref(static_cast<GstMiniObject*>(GST_PAD_PROBE_INFO_DATA(info)));
  GST_PAD_PROBE_INFO_FLOW_RETURN(info) = GST_FLOW_EOS;
  return GST_PAD_PROBE_HANDLED;
}

// Streams that nobody looks at are neither decoded nor read: in a file that breaks
// off, sound that is missing must not hide pictures that are there.
gboolean continue_with(GstElement*, GstPad* pad, GstCaps* caps, gpointer) {
  if (caps == nullptr || gst_caps_get_size(caps) == 0) return TRUE;
  const std::string_view name = gst_structure_get_name(gst_caps_get_structure(caps, 0));
  const bool other = name.starts_with("audio/") || name.starts_with("text/") ||
                     name.starts_with("subpicture/") || name.starts_with("closedcaption/");
  if (!other) return TRUE;
  constexpr auto kBuffers =
      static_cast<GstPadProbeType>(GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST);
  gst_pad_add_probe(pad, kBuffers, end_after_one, g_new0(gboolean, 1), g_free);
  return FALSE;
}

gboolean select_video(GstElement*, guint, GstCaps* caps, gpointer) {
  const gchar* media = gst_structure_get_string(gst_caps_get_structure(caps, 0), "media");
  return media == nullptr || std::string_view(media) == "video" ? TRUE : FALSE;
}

// Of what a camera can send, only what slots hold, where there is such: then nothing is
// converted on the way. Called with the answer to the element's question what it may send.
GstPadProbeReturn prefer_slot_formats(GstPad*, GstPadProbeInfo* info, gpointer) {
  GstQuery* query = GST_PAD_PROBE_INFO_QUERY(info);
  if (GST_QUERY_TYPE(query) != GST_QUERY_CAPS) return GST_PAD_PROBE_OK;
  GstCaps* allowed = nullptr;
  gst_query_parse_caps_result(query, &allowed);
  if (allowed == nullptr) return GST_PAD_PROBE_OK;
  const GstPtr<GstCaps> wanted(gst_caps_from_string("video/x-raw, format=(string){NV12, I420}"));
  const GstPtr<GstCaps> both(gst_caps_intersect(wanted.get(), allowed));
  if (gst_caps_is_empty(both.get()) == FALSE) gst_query_set_caps_result(query, both.get());
  return GST_PAD_PROBE_OK;
}

GstElement* make(const char* factory) {
  GstElement* element = gst_element_factory_make(factory, nullptr);
  if (element == nullptr) {
    throw Error("SOURCE_UNSUPPORTED", std::string("missing GStreamer element \"") + factory +
                                          "\": install gstreamer1.0-plugins-base");
  }
  return element;
}

bool in_nvmm_memory(const GstCaps* caps) {
  const GstCapsFeatures* features = gst_caps_get_features(caps, 0);
  return features != nullptr && gst_caps_features_contains(features, "memory:NVMM") != FALSE;
}

std::string to_uri(const std::string& uri) {
  if (uri.find("://") != std::string::npos) return uri;
  gchar* made = gst_filename_to_uri(uri.c_str(), nullptr);
  std::string text = made != nullptr ? made : uri;
  g_free(made);
  return text;
}

}  // namespace

void prepare_decoders() {
  static const bool done = [] {
    init_gstreamer();
    // libav's VP8 and VP9 decode into our slots; libvpx has memory of its own.
    GstRegistry* registry = gst_registry_get();
    for (const char* name : {"avdec_vp8", "avdec_vp9"}) {
      GstPluginFeature* feature = gst_registry_lookup_feature(registry, name);
      if (feature == nullptr) continue;
      gst_plugin_feature_set_rank(feature, GST_RANK_PRIMARY + 1);
      gst_object_unref(feature);
    }
    return true;
  }();
  static_cast<void>(done);
}

SourcePipeline::SourcePipeline(const SourceOptions& options, FrameReceiver* receiver, bool nvdec)
    : options_(options), nvdec_(nvdec && on_gpu(options.memory)) {
  prepare_decoders();
  pipeline_.reset(static_cast<GstElement*>(g_object_ref_sink(gst_pipeline_new(nullptr))));
  bus_.reset(gst_element_get_bus(pipeline_.get()));
  auto* bin = reinterpret_cast<GstBin*>(pipeline_.get());
  GstElement* source = make("uridecodebin");
  gst_bin_add(bin, source);
  convert_ = make("videoconvert");
  gst_bin_add(bin, convert_);
  sink_ = slot_sink_new(receiver, nvdec_);
  gst_bin_add(bin, sink_);
  // 10 bits to 8 without a pattern laid over the picture.
  gst_util_set_object_arg(reinterpret_cast<GObject*>(convert_), "dither", "none");
  g_object_set(source, "uri", to_uri(options_.uri).c_str(), nullptr);
  g_signal_connect(source, "pad-added", G_CALLBACK(&SourcePipeline::on_pad), this);
  g_signal_connect(source, "no-more-pads", G_CALLBACK(&SourcePipeline::on_no_more_pads), this);
  g_signal_connect(source, "source-setup", G_CALLBACK(&SourcePipeline::on_source), this);
  g_signal_connect(source, "autoplug-continue", G_CALLBACK(continue_with), nullptr);
  if (on_gpu(options_.memory))
    g_signal_connect(source, "autoplug-sort", G_CALLBACK(&SourcePipeline::sort_decoders), this);
  if (nvdec_) {
    device_ = cuda::CudaDevice::first();
    share_cuda_context(pipeline_.get(), *device_);
  }
  g_signal_connect(pipeline_.get(), "deep-element-added", G_CALLBACK(&SourcePipeline::on_element),
                   this);
}

SourcePipeline::~SourcePipeline() { stop(); }

void SourcePipeline::play() { gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING); }

void SourcePipeline::stop() {
  gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
  const std::lock_guard lock(mutex_);
  decoder_.reset();
}

Message SourcePipeline::next_message(GstClockTime timeout) {
  constexpr auto kWanted =
      static_cast<GstMessageType>(GST_MESSAGE_ERROR | GST_MESSAGE_WARNING | GST_MESSAGE_EOS |
                                  GST_MESSAGE_ELEMENT | GST_MESSAGE_APPLICATION);
  Message message(gst_bus_timed_pop_filtered(bus_.get(), timeout, kWanted));
  if (message != nullptr && gst_message_has_name(message.get(), kWakeMessage) != FALSE)
    message.reset();
  return message;
}

void SourcePipeline::wake() {
  gst_bus_post(bus_.get(),
               gst_message_new_application(nullptr, gst_structure_new_empty(kWakeMessage)));
}

DecoderInfo SourcePipeline::decoder() const {
  DecoderInfo info;
  const std::lock_guard lock(mutex_);
  if (decoder_ == nullptr) return info;
  info.name = factory_name(decoder_.get());
  uint32_t threads = options_.decoder_threads;
  const bool libav = info.name.starts_with("avdec_");
  if (threads == 0 && libav) threads = std::min(cores(), kMaxLibavThreads);
  // For live input avdec works on slices of one frame, to add no delay.
  if (libav && is_camera(options_.uri)) threads = 1;
  const GstPtr<GstPad> pad(gst_element_get_static_pad(decoder_.get(), "sink"));
  const GstPtr<GstCaps> caps(pad != nullptr ? gst_pad_get_current_caps(pad.get()) : nullptr);
  info.frames = decoder_frames(caps.get(), threads);
  return info;
}

void SourcePipeline::set_up_decoder(GstElement* element) {
  const auto threads = static_cast<gint>(options_.decoder_threads);
  for (const char* name : {"max-threads", "threads"}) {
    if (threads > 0 && has_property(element, name)) g_object_set(element, name, threads, nullptr);
  }
  // Damaged frames are shown and reported rather than dropped, and a bad patch does
  // not end the stream.
  if (has_property(element, "output-corrupt"))
    g_object_set(element, "output-corrupt", TRUE, nullptr);
  if (has_property(element, "max-errors")) g_object_set(element, "max-errors", -1, nullptr);
  if (has_property(element, "qos")) g_object_set(element, "qos", FALSE, nullptr);
  const GstPtr<GstPad> sink(gst_element_get_static_pad(element, "sink"));
  if (sink != nullptr) {
    pictures_ = 0;
    gst_pad_add_probe(sink.get(), GST_PAD_PROBE_TYPE_BUFFER, &SourcePipeline::on_picture, this,
                      nullptr);
  }
  const std::lock_guard lock(mutex_);
  decoder_ = share(element);
}

GstPadProbeReturn SourcePipeline::on_picture(GstPad* pad, GstPadProbeInfo* info, gpointer self) {
  const auto* buffer = static_cast<GstBuffer*>(GST_PAD_PROBE_INFO_DATA(info));
  const GstPtr<GstCaps> caps(gst_pad_get_current_caps(pad));
  const gchar* mode =
      caps == nullptr
          ? nullptr
          : gst_structure_get_string(gst_caps_get_structure(caps.get(), 0), "interlace-mode");
  if (mode != nullptr && std::string_view(mode) != "progressive") return GST_PAD_PROBE_REMOVE;
  if (GST_BUFFER_PTS_IS_VALID(buffer)) {
    // Pictures before an edit list's start are decoded and not shown.
    const GstPtr<GstEvent> event(gst_pad_get_sticky_event(pad, GST_EVENT_SEGMENT, 0));
    const GstSegment* segment = nullptr;
    if (event != nullptr) gst_event_parse_segment(event.get(), &segment);
    const GstClockTime pts = GST_BUFFER_PTS(buffer);
    if (segment != nullptr && segment->format == GST_FORMAT_TIME &&
        gst_segment_clip(segment, GST_FORMAT_TIME, pts, pts, nullptr, nullptr) == FALSE)
      return GST_PAD_PROBE_OK;
  }
  ++static_cast<SourcePipeline*>(self)->pictures_;
  return GST_PAD_PROBE_OK;
}

std::optional<uint64_t> SourcePipeline::duration_ns() const {
  gint64 duration = 0;
  if (gst_element_query_duration(pipeline_.get(), GST_FORMAT_TIME, &duration) == FALSE)
    return std::nullopt;
  return duration > 0 ? std::optional<uint64_t>(static_cast<uint64_t>(duration)) : std::nullopt;
}

void SourcePipeline::on_element(GstBin*, GstBin*, GstElement* element, SourcePipeline* self) {
  if (is_video_decoder(element)) self->set_up_decoder(element);
}

void SourcePipeline::on_source(GstElement*, GstElement* source, SourcePipeline* self) {
  const std::string name = factory_name(source);
  if (name == "rtspsrc") {
    const gint protocols =
        self->options_.rtsp_transport == RtspTransport::kUdp ? kRtspUdp : kRtspTcp;
    g_object_set(source, "protocols", protocols, "latency", kJitterBufferMs, "tcp-timeout",
                 kConnectTimeoutUs, "timeout", kConnectTimeoutUs, nullptr);
    // Since GStreamer 1.22: the camera's clock, by RTCP sender reports.
    if (has_property(source, "add-reference-timestamp-meta"))
      g_object_set(source, "add-reference-timestamp-meta", TRUE, nullptr);
    g_signal_connect(source, "select-stream", G_CALLBACK(select_video), nullptr);
  }
  if (name == "souphttpsrc") g_object_set(source, "timeout", kHttpTimeoutSeconds, nullptr);
  if (name == "v4l2src" && self->options_.memory == MemoryKind::kDmabuf) {
    // The driver's own buffers, copied once; GStreamer brackets what the CPU does with them.
    gst_util_set_object_arg(reinterpret_cast<GObject*>(source), "io-mode", "dmabuf");
    const GstPtr<GstPad> pad(gst_element_get_static_pad(source, "src"));
    constexpr auto kAnswered =
        static_cast<GstPadProbeType>(GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM | GST_PAD_PROBE_TYPE_PULL);
    gst_pad_add_probe(pad.get(), kAnswered, prefer_slot_formats, nullptr, nullptr);
  }
}

// Jetson's decoder gives NVMM memory, which nvvidconv alone brings to the CPU. Null without it.
GstElement* SourcePipeline::from_nvmm() {
  GstElement* const element = gst_element_factory_make("nvvidconv", nullptr);
  if (element == nullptr) return nullptr;
  gst_bin_add(reinterpret_cast<GstBin*>(pipeline_.get()), element);
  gst_element_link(element, convert_);
  gst_element_sync_state_with_parent(element);
  return element;
}

void SourcePipeline::on_pad(GstElement*, GstPad* pad, SourcePipeline* self) {
  if (self->has_video_) return;
  GstPtr<GstCaps> caps(gst_pad_get_current_caps(pad));
  if (caps == nullptr) caps.reset(gst_pad_query_caps(pad, nullptr));
  const bool video =
      caps != nullptr && gst_caps_get_size(caps.get()) > 0 &&
      gst_structure_has_name(gst_caps_get_structure(caps.get(), 0), "video/x-raw") != FALSE;
  if (!video) return;
  // NVDEC's frames stay on the GPU: nothing between the decoder and the slots.
  const bool direct = self->nvdec_ && in_cuda_memory(caps.get());
  if (!direct && gst_element_link(self->convert_, self->sink_) == FALSE) return;
  GstElement* const next = direct                       ? self->sink_
                           : in_nvmm_memory(caps.get()) ? self->from_nvmm()
                                                        : self->convert_;
  if (next == nullptr) return;
  const GstPtr<GstPad> sink(gst_element_get_static_pad(next, "sink"));
  if (GST_PAD_LINK_SUCCESSFUL(gst_pad_link(pad, sink.get()))) self->has_video_ = true;
}

void SourcePipeline::on_no_more_pads(GstElement*, SourcePipeline* self) {
  if (self->has_video_) return;
  gst_bus_post(self->bus_.get(),
               gst_message_new_application(nullptr, gst_structure_new_empty(kNoVideoMessage)));
}

bool SourcePipeline::uses_nvdec() const {
  const std::lock_guard lock(mutex_);
  return decoder_ != nullptr && is_nvdec(gst_element_get_factory(decoder_.get()));
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // decodebin still speaks GValueArray.

// NVDEC's decoders before the others, which get what they cannot do; or not at all.
// Parsers stay in front: decoders want their caps. The order is otherwise as it was.
GValueArray* SourcePipeline::sort_decoders(GstElement*, GstPad*, GstCaps*, GValueArray* factories,
                                           SourcePipeline* self) {
  GValueArray* sorted = g_value_array_new(factories->n_values);
  enum class Kind { kOther, kNvdec, kDecoder };
  const auto kind_of = [](GstElementFactory* factory) {
    if (is_nvdec(factory)) return Kind::kNvdec;
    const bool decodes =
        gst_element_factory_list_is_type(factory, GST_ELEMENT_FACTORY_TYPE_DECODER) != FALSE;
    return decodes ? Kind::kDecoder : Kind::kOther;
  };
  for (const Kind wanted : {Kind::kOther, Kind::kNvdec, Kind::kDecoder}) {
    if (wanted == Kind::kNvdec && !self->nvdec_) continue;
    for (guint i = 0; i < factories->n_values; ++i) {
      const GValue* value = g_value_array_get_nth(factories, i);
      if (kind_of(static_cast<GstElementFactory*>(g_value_get_object(value))) == wanted)
        g_value_array_append(sorted, value);
    }
  }
  return sorted;
}

#pragma GCC diagnostic pop

}  // namespace framebus
