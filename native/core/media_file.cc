#include "media_file.h"

#include <gst/gst.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <list>
#include <mutex>
#include <optional>
#include <string_view>

#include "error.h"
#include "gst_element.h"
#include "gst_ptr.h"
#include "monotonic.h"
#include "sound_format.h"
#include "source_error.h"
#include "source_pipeline.h"

namespace framebus {
namespace {

constexpr int64_t kLongestNs = 20'000'000'000;
constexpr GstClockTime kTick = 100 * GST_MSECOND;

// Error keeps a literal.
const char* literal(const std::string& code) {
  constexpr std::array kCodes{"SOURCE_NOT_FOUND", "SOURCE_UNREADABLE", "SOURCE_UNSUPPORTED",
                              "SOURCE_BROKEN"};
  const auto* found = std::find(kCodes.begin(), kCodes.end(), code);
  return found == kCodes.end() ? "SOURCE_BROKEN" : *found;
}

GstPtr<GstElement> element(const char* factory) {
  return make_element(factory, "SOURCE_UNSUPPORTED");
}

bool is_sound(const GstCaps* caps) {
  return std::string_view(gst_structure_get_name(gst_caps_get_structure(caps, 0)))
      .starts_with("audio/");
}

bool is_picture(const GstCaps* caps) {
  return gst_structure_has_name(gst_caps_get_structure(caps, 0), "video/x-raw") != FALSE;
}

// Pictures are decoded; everything else is looked at as it is. The layers of MPEG audio
// are known behind its parser only.
gboolean continue_with(GstElement*, GstPad*, GstCaps* caps, gpointer) {
  if (caps == nullptr || gst_caps_get_size(caps) == 0) return TRUE;
  const GstStructure* structure = gst_caps_get_structure(caps, 0);
  const std::string_view name = gst_structure_get_name(structure);
  if (!is_sound(caps))
    return name.starts_with("text/") || name.starts_with("subpicture/") ? FALSE : TRUE;
  gint version = 0;
  const bool layered = gst_structure_get_int(structure, "mpegversion", &version) != FALSE &&
                       version == 1 && gst_structure_has_field(structure, "layer") == FALSE;
  return layered ? TRUE : FALSE;
}

// The pads of a file that is opened, up to the first buffer of each.
class Opened {
 public:
  explicit Opened(const std::string& path) : path_(path) {
    prepare_decoders();
    pipeline_.reset(GST_ELEMENT(gst_object_ref_sink(gst_pipeline_new(nullptr))));
    const GstPtr<GstElement> decode = element("uridecodebin");
    gchar* uri = gst_filename_to_uri(path.c_str(), nullptr);
    g_object_set(decode.get(), "uri", uri, nullptr);
    g_free(uri);
    gst_bin_add(GST_BIN(pipeline_.get()), decode.get());
    g_signal_connect(decode.get(), "autoplug-continue", G_CALLBACK(continue_with), nullptr);
    g_signal_connect(decode.get(), "pad-added", G_CALLBACK(&Opened::on_pad), this);
    g_signal_connect(pipeline_.get(), "deep-element-added", G_CALLBACK(&Opened::on_element), this);
  }
  ~Opened() { gst_element_set_state(pipeline_.get(), GST_STATE_NULL); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  // Throws as inspect_media_file.
  MediaFile inspect() {
    gst_element_set_state(pipeline_.get(), GST_STATE_PAUSED);
    wait();
    MediaFile file;
    gint64 duration = 0;
    if (gst_element_query_duration(pipeline_.get(), GST_FORMAT_TIME, &duration) != FALSE)
      file.duration_ns = static_cast<uint64_t>(std::max<gint64>(duration, 0));
    const std::lock_guard lock(mutex_);
    if (one_beginning_) align();
    const auto pictures = std::find_if(tracks_.begin(), tracks_.end(), [](const Track& track) {
      return track.first_ns && is_picture(track.caps.get());
    });
    if (pictures == tracks_.end()) throw no_video();
    describe(pictures->caps.get(), file);
    file.pictures_at_ns = file.begins_at_ns = *pictures->first_ns;
    for (const Track& track : tracks_) {
      if (!is_sound(track.caps.get())) continue;
      // Sound that has not come by now begins later than the pictures.
      if (track.first_ns) file.begins_at_ns = std::min(file.begins_at_ns, *track.first_ns);
      const SoundFormat* format = sound_format(track.caps.get());
      const char* raw_name = gst_structure_get_name(gst_caps_get_structure(track.caps.get(), 0));
      file.sound.push_back({.name = format != nullptr ? format->name : raw_name,
                            .in_mp4 = format != nullptr && format->in_mp4,
                            .in_matroska = format != nullptr && format->in_matroska});
    }
    return file;
  }

 private:
  struct Track {
    Opened* owner = nullptr;  // Borrowed.
    GstPtr<GstCaps> caps;
    std::optional<uint64_t> first_ns;  // Running time.
    uint64_t start_ns = 0;             // Of the segment, where nothing was played before it.
  };

  static void on_element(GstBin*, GstBin*, GstElement* element, Opened* self) {
    GstElementFactory* factory = gst_element_get_factory(element);
    if (factory != nullptr && GST_OBJECT_NAME(factory) == std::string_view("matroskademux"))
      self->one_beginning_ = true;
  }

  // Matroska's tracks have one beginning, which is brought forward when sound is found that
  // is earlier than the first picture.
  void align() {
    uint64_t earliest = UINT64_MAX;
    for (const Track& track : tracks_) {
      if (track.first_ns) earliest = std::min(earliest, track.start_ns);
    }
    for (Track& track : tracks_) {
      if (track.first_ns) *track.first_ns += track.start_ns - earliest;
    }
  }

  static void describe(const GstCaps* caps, MediaFile& file) {
    const GstStructure* structure = gst_caps_get_structure(caps, 0);
    gint width = 0;
    gint height = 0;
    gint numerator = 0;
    gint denominator = 1;
    gst_structure_get_int(structure, "width", &width);
    gst_structure_get_int(structure, "height", &height);
    gst_structure_get_fraction(structure, "framerate", &numerator, &denominator);
    file.width = static_cast<uint32_t>(std::max(width, 0));
    file.height = static_cast<uint32_t>(std::max(height, 0));
    file.rate_numerator = static_cast<uint32_t>(std::max(numerator, 0));
    file.rate_denominator = static_cast<uint32_t>(std::max(denominator, 1));
  }

  static void on_pad(GstElement*, GstPad* pad, Opened* self) {
    GstPtr<GstCaps> caps(gst_pad_get_current_caps(pad));
    if (caps == nullptr) caps.reset(gst_pad_query_caps(pad, nullptr));
    const GstPtr<GstElement> sink = element("fakesink");
    const bool wanted = caps != nullptr && gst_caps_get_size(caps.get()) > 0 &&
                        (is_picture(caps.get()) || is_sound(caps.get()));
    // Subtitles may come late or never.
    g_object_set(sink.get(), "sync", FALSE, "async", wanted ? TRUE : FALSE, nullptr);
    gst_bin_add(GST_BIN(self->pipeline_.get()), sink.get());
    const GstPtr<GstPad> into(gst_element_get_static_pad(sink.get(), "sink"));
    if (wanted) {
      const std::lock_guard lock(self->mutex_);
      Track& track = self->tracks_.emplace_back();
      track.owner = self;
      track.caps = std::move(caps);
      gst_pad_add_probe(into.get(), GST_PAD_PROBE_TYPE_BUFFER, &Opened::on_buffer, &track, nullptr);
    }
    gst_pad_link(pad, into.get());
    gst_element_sync_state_with_parent(sink.get());
  }

  static GstPadProbeReturn on_buffer(GstPad* pad, GstPadProbeInfo* info, gpointer data) {
    auto& track = *static_cast<Track*>(data);
    const auto* buffer = static_cast<GstBuffer*>(GST_PAD_PROBE_INFO_DATA(info));
    const GstPtr<GstEvent> event(gst_pad_get_sticky_event(pad, GST_EVENT_SEGMENT, 0));
    const GstSegment* segment = nullptr;
    if (event != nullptr) gst_event_parse_segment(event.get(), &segment);
    uint64_t first_ns = 0;
    if (segment != nullptr && segment->format == GST_FORMAT_TIME &&
        GST_BUFFER_PTS_IS_VALID(buffer)) {
      const GstClockTime shown = std::max<GstClockTime>(GST_BUFFER_PTS(buffer), segment->start);
      const guint64 running = gst_segment_to_running_time(segment, GST_FORMAT_TIME, shown);
      if (GST_CLOCK_TIME_IS_VALID(running)) first_ns = running;
    }
    const std::lock_guard lock(track.owner->mutex_);
    if (track.first_ns) return GST_PAD_PROBE_REMOVE;
    track.first_ns = first_ns;
    if (segment != nullptr && segment->base == 0) track.start_ns = segment->start;
    return GST_PAD_PROBE_REMOVE;
  }

  // Until each track has shown its first buffer.
  void wait() {
    const GstPtr<GstBus> bus(gst_element_get_bus(pipeline_.get()));
    const int64_t deadline_ns = monotonic_ns() + kLongestNs;
    constexpr auto kWanted = static_cast<GstMessageType>(
        GST_MESSAGE_ERROR | GST_MESSAGE_ASYNC_DONE | GST_MESSAGE_EOS | GST_MESSAGE_ELEMENT);
    while (monotonic_ns() < deadline_ns) {
      const GstPtr<GstMessage> message(gst_bus_timed_pop_filtered(bus.get(), kTick, kWanted));
      if (message == nullptr) continue;
      if (GST_MESSAGE_TYPE(message.get()) == GST_MESSAGE_ERROR) throw error_of(message.get());
      if (GST_MESSAGE_TYPE(message.get()) != GST_MESSAGE_ELEMENT) return;
      if (const std::string missing = missing_plugin(message.get()); !missing.empty())
        missing_ = missing;
    }
    throw Error("SOURCE_BROKEN", path_ + ": no picture came out within " +
                                     std::to_string(kLongestNs / 1'000'000'000) + " s");
  }

  Error error_of(GstMessage* message) const {
    GError* raw = nullptr;
    gchar* debug = nullptr;
    gst_message_parse_error(message, &raw, &debug);
    const GstPtr<GError> error(raw);
    const GstPtr<gchar> detail(debug);
    const SourceError cause = source_error(path_, *error, debug != nullptr ? debug : "", missing_);
    return {literal(cause.code), cause.message};
  }

  Error no_video() const {
    const std::string why = missing_.empty() ? ": has no video that can be decoded"
                                             : ": missing GStreamer plugin: " + missing_;
    return {"SOURCE_UNSUPPORTED", path_ + why};
  }

  const std::string path_;
  std::mutex mutex_;
  std::list<Track> tracks_;  // Guarded by mutex_; probes point to them.
  std::atomic<bool> one_beginning_ = false;
  std::string missing_;  // Used by the caller's thread alone.
  GstPtr<GstElement> pipeline_;
};

}  // namespace

MediaFile inspect_media_file(const std::string& path) {
  if (const std::optional<SourceError> error = check_file(path))
    throw Error(literal(error->code), error->message);
  return Opened(path).inspect();
}

}  // namespace framebus
