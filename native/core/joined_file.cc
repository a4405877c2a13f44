#include "joined_file.h"

#include <gst/app/gstappsrc.h>
#include <gst/gst.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "error.h"
#include "gst_element.h"
#include "gst_ptr.h"
#include "recorded_pictures.h"
#include "sound_format.h"

namespace framebus {
namespace {

constexpr GstClockTime kTick = 100 * GST_MSECOND;
constexpr uint32_t kUsualTicks = 90'000;
// Of a picture that is alone: 25 a second.
constexpr uint64_t kLoneNs = 40'000'000;
// What one track of sound may be ahead of the others.
constexpr guint kSoundBytes = 64U << 20;
// A rate is constant when all times are so close to it; files of milliseconds are.
constexpr double kRegularNs = 1'500'000;

GstPtr<GstElement> element(const char* factory) { return make_element(factory, "JOIN_FAILED"); }

bool is_regular(const JoinOptions& options) {
  if (options.rate_numerator == 0) return false;
  const double step = 1e9 * options.rate_denominator / options.rate_numerator;
  const std::vector<uint64_t>& times = options.times_ns;
  for (size_t n = 0; n < times.size(); ++n) {
    const double expected = static_cast<double>(n) * step;
    if (std::abs(static_cast<double>(times[n] - times[0]) - expected) > kRegularNs) return false;
  }
  return true;
}

// Writes one file. The pictures are fed by a thread of their own, so that neither waits
// for the other: the muxer takes from both as it needs.
class Joining {
 public:
  Joining(const JoinOptions& options, const std::atomic<bool>& cancelled)
      : options_(options), cancelled_(cancelled) {
    init_gstreamer();
    pipeline_.reset(GST_ELEMENT(gst_object_ref_sink(gst_pipeline_new(nullptr))));
    pictures_ = element("appsrc");
    mux_ = element(options_.container == Container::kMp4 ? "mp4mux" : "matroskamux");
    file_ = element("filesink");
    g_object_set(file_.get(), "location", options_.file.c_str(), "async", FALSE, nullptr);
    g_object_set(pictures_.get(), "format", GST_FORMAT_TIME, "block", TRUE, "max-buffers",
                 guint64{16}, "max-bytes", guint64{0}, nullptr);
    for (GstElement* one : {pictures_.get(), mux_.get(), file_.get()}) add(one);
    link(mux_.get(), file_.get());
    join_pictures();
    if (options_.sound_tracks > 0) open_sound();
  }

  ~Joining() { stop(); }
  Joining(const Joining&) = delete;
  Joining& operator=(const Joining&) = delete;

  void run() {
    feeder_ = std::thread([this] { feed(); });
    gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING);
    const GstPtr<GstBus> bus(gst_element_get_bus(pipeline_.get()));
    constexpr auto kWanted = static_cast<GstMessageType>(GST_MESSAGE_ERROR | GST_MESSAGE_EOS);
    while (true) {
      const GstPtr<GstMessage> message(gst_bus_timed_pop_filtered(bus.get(), kTick, kWanted));
      if (cancelled_) throw Error("CANCELLED", options_.file + ": was not finished");
      rethrow_failure();
      if (message == nullptr) continue;
      if (GST_MESSAGE_TYPE(message.get()) == GST_MESSAGE_ERROR) throw error_of(message.get());
      break;
    }
    rethrow_failure();
  }

 private:
  void add(GstElement* one) { gst_bin_add(GST_BIN(pipeline_.get()), one); }

  void link(GstElement* from, GstElement* to) const {
    if (gst_element_link(from, to) == FALSE)
      throw Error("JOIN_FAILED", options_.file + ": " + GST_OBJECT_NAME(from) +
                                     " cannot be linked to " + GST_OBJECT_NAME(to));
  }

  void join_pictures() {
    const GstPtr<GstPad> into(gst_element_request_pad_simple(mux_.get(), "video_%u"));
    if (options_.container == Container::kMp4) {
      const guint ticks = ticks_per_second(options_.times_ns, options_.rate_numerator);
      g_object_set(into.get(), "trak-timescale", ticks, nullptr);
      g_object_set(mux_.get(), "movie-timescale", ticks, nullptr);
    }
    const GstPtr<GstPad> from(gst_element_get_static_pad(pictures_.get(), "src"));
    gst_pad_link(from.get(), into.get());
  }

  void open_sound() {
    const GstPtr<GstElement> source = element("filesrc");
    const GstPtr<GstElement> parse = element("parsebin");
    g_object_set(source.get(), "location", options_.sound.c_str(), nullptr);
    add(source.get());
    add(parse.get());
    link(source.get(), parse.get());
    g_signal_connect(parse.get(), "pad-added", G_CALLBACK(&Joining::on_pad), this);
  }

  static void on_pad(GstElement*, GstPad* pad, Joining* self) {
    try {
      self->join_track(pad);
    } catch (...) {
      self->keep_failure(std::current_exception());
    }
  }

  // On parsebin's thread. Other tracks than sound are read and thrown away.
  void join_track(GstPad* pad) {
    GstPtr<GstCaps> caps(gst_pad_get_current_caps(pad));
    if (caps == nullptr) caps.reset(gst_pad_query_caps(pad, nullptr));
    const bool sound =
        gst_caps_get_size(caps.get()) > 0 &&
        std::string_view(gst_structure_get_name(gst_caps_get_structure(caps.get(), 0)))
            .starts_with("audio/");
    const SoundFormat* format = sound && more_sound() ? sound_format(caps.get()) : nullptr;
    const GstPtr<GstElement> first = element(format != nullptr ? "queue" : "fakesink");
    add(first.get());
    if (format != nullptr) {
      g_object_set(first.get(), "max-size-buffers", 0U, "max-size-time", guint64{0},
                   "max-size-bytes", kSoundBytes, nullptr);
      join_sound(*format, first.get());
    } else {
      g_object_set(first.get(), "sync", FALSE, "async", FALSE, nullptr);
    }
    const GstPtr<GstPad> into(gst_element_get_static_pad(first.get(), "sink"));
    gst_pad_link(pad, into.get());
    gst_element_sync_state_with_parent(first.get());
  }

  // A track beyond those that were found has nothing in it.
  bool more_sound() {
    const std::lock_guard lock(mutex_);
    return tracks_ < options_.sound_tracks;
  }

  void join_sound(const SoundFormat& format, GstElement* queue) {
    const GstPtr<GstPad> shifted(gst_element_get_static_pad(queue, "src"));
    gst_pad_set_offset(shifted.get(), -static_cast<gint64>(options_.sound_from_ns));
    GstPtr<GstElement> last = share(queue);
    if (format.parser != nullptr) {
      GstPtr<GstElement> parser = element(format.parser);
      add(parser.get());
      link(queue, parser.get());
      gst_element_sync_state_with_parent(parser.get());
      last = std::move(parser);
    }
    const GstPtr<GstPad> into(gst_element_request_pad_simple(mux_.get(), "audio_%u"));
    const GstPtr<GstPad> from(gst_element_get_static_pad(last.get(), "src"));
    if (into == nullptr || GST_PAD_LINK_FAILED(gst_pad_link(from.get(), into.get())))
      throw Error("JOIN_FAILED", options_.file + ": cannot hold " + format.name);
    const std::lock_guard lock(mutex_);
    ++tracks_;
    changed_.notify_all();
  }

  // The feeder's thread.
  void feed() {
    try {
      {
        // What has begun without a track goes on without it.
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return tracks_ >= options_.sound_tracks || stopping_; });
      }
      size_t fed = 0;
      for (const std::string& file : options_.recorded) {
        RecordedPictures pictures(file);
        while (const GstPtr<GstSample> sample = pictures.next(stopping_)) push(sample.get(), fed++);
      }
      if (stopping_) return;
      if (fed != options_.times_ns.size())
        throw Error("JOIN_FAILED", options_.file + ": " + std::to_string(fed) +
                                       " pictures were recorded, and " +
                                       std::to_string(options_.times_ns.size()) + " times");
      gst_app_src_end_of_stream(GST_APP_SRC(pictures_.get()));
    } catch (...) {
      keep_failure(std::current_exception());
    }
  }

  void push(GstSample* sample, size_t n) {
    const std::vector<uint64_t>& times = options_.times_ns;
    if (n >= times.size()) return;
    if (n == 0) set_caps(gst_sample_get_caps(sample));
    check_same(gst_sample_get_caps(sample), n);
    GstBuffer* copy = gst_buffer_copy(gst_sample_get_buffer(sample));
    GST_BUFFER_PTS(copy) = GST_BUFFER_DTS(copy) = times[n];
    GST_BUFFER_DURATION(copy) = n + 1 < times.size() ? times[n + 1] - times[n] : last_duration_ns();
    gst_app_src_push_buffer(GST_APP_SRC(pictures_.get()), copy);  // Takes it.
  }

  // A file has one size of pictures and one set of parameters.
  void check_same(GstCaps* caps, size_t n) {
    if (caps == checked_.get()) return;
    const auto parameters = [](const GstCaps* of) {
      return gst_structure_get_value(gst_caps_get_structure(of, 0), "codec_data");
    };
    const GValue* first = checked_ == nullptr ? nullptr : parameters(checked_.get());
    const GValue* now = parameters(caps);
    if (first != nullptr && (now == nullptr || gst_value_compare(first, now) != GST_VALUE_EQUAL))
      throw Error("JOIN_FAILED", options_.file + ": from picture " + std::to_string(n) +
                                     " on the pictures have another size or format; a file holds "
                                     "one only");
    checked_ = share(caps);
  }

  // Nobody says how long the last picture shows: as long as pictures usually do.
  uint64_t last_duration_ns() const {
    const std::vector<uint64_t>& times = options_.times_ns;
    if (options_.rate_numerator > 0)
      return uint64_t{1'000'000'000} * options_.rate_denominator / options_.rate_numerator;
    return times.size() < 2 ? kLoneNs : times[times.size() - 1] - times[times.size() - 2];
  }

  // The recorded file's own rate is that of its times.
  void set_caps(GstCaps* recorded) const {
    const GstPtr<GstCaps> caps(gst_caps_copy(recorded));
    GstStructure* structure = gst_caps_get_structure(caps.get(), 0);
    gst_structure_remove_field(structure, "framerate");
    if (is_regular(options_)) {
      gst_structure_set(structure, "framerate", GST_TYPE_FRACTION,
                        static_cast<gint>(options_.rate_numerator),
                        static_cast<gint>(options_.rate_denominator), nullptr);
    }
    gst_app_src_set_caps(GST_APP_SRC(pictures_.get()), caps.get());
  }

  void keep_failure(std::exception_ptr failure) {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(failure);
  }

  void rethrow_failure() {
    const std::lock_guard lock(mutex_);
    if (failure_) std::rethrow_exception(failure_);
  }

  Error error_of(GstMessage* message) const {
    GError* error = nullptr;
    gst_message_parse_error(message, &error, nullptr);
    const GstPtr<GError> owned(error);
    const bool writing = GST_MESSAGE_SRC(message) == GST_OBJECT(file_.get());
    return {writing ? "FILE_UNWRITABLE" : "JOIN_FAILED", options_.file + ": " + owned->message};
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    // Ends a push that waits, too.
    gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
    if (feeder_.joinable()) feeder_.join();
  }

  // Given.
  const JoinOptions& options_;
  const std::atomic<bool>& cancelled_;

  // Shared between the threads.
  std::mutex mutex_;
  std::condition_variable changed_;
  uint32_t tracks_ = 0;  // Of sound, linked. Guarded by mutex_, as is failure_.
  std::exception_ptr failure_;
  std::atomic<bool> stopping_ = false;

  // The feeder's alone.
  GstPtr<GstCaps> checked_;

  GstPtr<GstElement> pipeline_;
  GstPtr<GstElement> pictures_;
  GstPtr<GstElement> mux_;
  GstPtr<GstElement> file_;
  std::thread feeder_;
};

bool all_whole(const std::vector<uint64_t>& times_ns, uint32_t ticks) {
  return std::all_of(times_ns.begin(), times_ns.end(), [ticks](uint64_t ns) {
    const uint64_t rest = ns % 1'000'000'000;  // Seconds are whole at any rate.
    const uint64_t nearest = (rest * ticks + 500'000'000) / 1'000'000'000;
    const auto back = static_cast<int64_t>(nearest * 1'000'000'000 / ticks);
    return std::abs(back - static_cast<int64_t>(rest)) <= 2;
  });
}

}  // namespace

uint32_t ticks_per_second(const std::vector<uint64_t>& times_ns, uint32_t rate_numerator) {
  constexpr std::array<uint32_t, 8> kOthers{12'800, 15'360, 24'000,  30'000,
                                            48'000, 60'000, 120'000, 1'000'000};
  if (all_whole(times_ns, kUsualTicks)) return kUsualTicks;
  if (rate_numerator >= 1000 && all_whole(times_ns, rate_numerator)) return rate_numerator;
  const auto* found = std::find_if(kOthers.begin(), kOthers.end(),
                                   [&](uint32_t ticks) { return all_whole(times_ns, ticks); });
  return found == kOthers.end() ? kUsualTicks : *found;
}

void join_file(const JoinOptions& options, const std::atomic<bool>& cancelled) {
  Joining(options, cancelled).run();
}

}  // namespace framebus
