#include "source.h"

#include <utility>

#include "error.h"
#include "frame_clock.h"

namespace framebus {

namespace {

constexpr GstClockTime kTick = 100 * GST_MSECOND;
constexpr uint64_t kMillisecondNs = 1'000'000;
constexpr uint64_t kWarningIntervalNs = 5'000 * kMillisecondNs;
// After a broken file's error, what was read before it is still being decoded.
constexpr uint64_t kDrainNs = 3'000 * kMillisecondNs;
// A file that ends so much before its time was cut off.
constexpr uint64_t kEarlyEndNs = 2'000 * kMillisecondNs;

struct Report {
  GstPtr<GError> error;
  GstPtr<gchar> debug;
  const char* detail() const { return debug != nullptr ? debug.get() : ""; }
};

Report report_of(GstMessage* message) {
  GError* error = nullptr;
  gchar* debug = nullptr;
  if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
    gst_message_parse_error(message, &error, &debug);
  } else {
    gst_message_parse_warning(message, &error, &debug);
  }
  return {GstPtr<GError>(error), GstPtr<gchar>(debug)};
}

}  // namespace

Source::Source(SourceOptions options, std::function<void(const std::shared_ptr<FramePool>&)> offer,
               std::function<bool(const SourceEvent&)> emit)
    : options_(std::move(options)),
      camera_(is_camera(options_.uri)),
      writer_(
          options_,
          {.offer = std::move(offer),
           .emit = std::move(emit),
           .decoder =
               [this] {
                 const std::lock_guard lock(pipeline_mutex_);
                 return pipeline_ != nullptr ? pipeline_->decoder() : DecoderInfo{};
               },
           .fail =
               [this](const std::string& code, const std::string& message) {
                 {
                   const std::lock_guard lock(failure_mutex_);
                   failure_ = SourceError{code, redact_uri(options_.uri) + ": " + message, false};
                 }
                 const std::lock_guard lock(pipeline_mutex_);
                 if (pipeline_ != nullptr) pipeline_->wake();
               }}) {}

Source::~Source() { stop(); }

void Source::start() {
  const std::lock_guard lock(thread_mutex_);
  if (stopped_ || thread_.joinable()) return;
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void Source::stop() {
  {
    const std::lock_guard lock(thread_mutex_);
    stopped_ = true;
    thread_.request_stop();
  }
  writer_.shut();
  {
    const std::lock_guard lock(pipeline_mutex_);
    if (pipeline_ != nullptr) pipeline_->wake();
  }
  const std::lock_guard lock(join_mutex_);
  if (thread_.joinable()) thread_.join();
  writer_.close();
}

void Source::run(const std::stop_token& stop) {
  if (is_local_file(options_.uri)) {
    if (const std::optional<SourceError> error = check_file(options_.uri)) {
      fail(*error);
      return;
    }
  }
  while (!stop.stop_requested()) {
    Outcome outcome = Outcome::kStopped;
    try {
      outcome = play(stop);
    } catch (const Error& error) {
      outcome = fail({error.code(), redact_uri(options_.uri) + ": " + error.what(), false});
    }
    if (outcome == Outcome::kAgain) continue;
    if (outcome != Outcome::kEnded) return;
    if (options_.loop && !camera_) continue;
    writer_.emit(EndEvent{});
    return;
  }
}

Source::Outcome Source::play(const std::stop_token& stop) {
  damage_.reset();
  missing_.clear();
  damaged_reported_ = writer_.damaged();
  const auto pipeline = std::make_shared<SourcePipeline>(options_, &writer_, nvdec_);
  {
    const std::lock_guard lock(pipeline_mutex_);
    pipeline_ = pipeline;
  }
  writer_.begin_pass(camera_);
  pipeline->play();
  std::optional<Outcome> outcome;
  while (!outcome) {
    const Message message = pipeline->next_message(kTick);
    if (stop.stop_requested()) {
      outcome = Outcome::kStopped;
    } else {
      outcome = message != nullptr ? handle(message.get()) : check_time();
    }
  }
  // Waits of streaming threads would hold up the way to NULL.
  writer_.interrupt();
  pipeline->stop();
  {
    const std::lock_guard lock(pipeline_mutex_);
    pipeline_.reset();
  }
  writer_.resume();
  return *outcome;
}

std::optional<Source::Outcome> Source::handle(GstMessage* message) {
  switch (GST_MESSAGE_TYPE(message)) {
    case GST_MESSAGE_ERROR:
      return handle_error(message);
    case GST_MESSAGE_EOS:
      return handle_end();
    case GST_MESSAGE_WARNING: {
      const Report report = report_of(message);
      const SourceError error =
          source_error(options_.uri, *report.error, report.detail(), missing_);
      warn(error.code, error.message);
      return std::nullopt;
    }
    case GST_MESSAGE_ELEMENT:
      if (const std::string missing = missing_plugin(message); !missing.empty()) missing_ = missing;
      return std::nullopt;
    case GST_MESSAGE_APPLICATION:
      if (gst_message_has_name(message, kNoVideoMessage) == FALSE) return std::nullopt;
      return fail({"SOURCE_UNSUPPORTED",
                   redact_uri(options_.uri) + (missing_.empty()
                                                   ? ": has no video that can be decoded"
                                                   : ": missing GStreamer plugin: " + missing_),
                   false});
    default:
      return std::nullopt;
  }
}

std::optional<Source::Outcome> Source::handle_error(GstMessage* message) {
  if (const std::optional<SourceError> failure = writer_failure()) return fail(*failure);
  const Report report = report_of(message);
  SourceError error = source_error(options_.uri, *report.error, report.detail(), missing_);
  // A codec profile that it does not know, or no decoding session left: the CPU can.
  const bool not_the_way_there = report.error->domain != GST_RESOURCE_ERROR;
  if (not_the_way_there && pipeline_->uses_nvdec() && writer_.frames_in_pass() == 0) {
    nvdec_ = false;
    return Outcome::kAgain;
  }
  if (camera_) return fail(error);
  // The first error is the cause, what follows are its effects.
  if (!damage_) damage_ = std::move(error);
  // Frames before the damage are still on their way; the end of stream follows them.
  if (pipeline_->has_video() && is_damage(*report.error)) return std::nullopt;
  return writer_.frames_in_pass() > 0 ? handle_end() : fail(*damage_);
}

Source::Outcome Source::handle_end() {
  const std::string name = redact_uri(options_.uri);
  if (camera_) return fail({"SOURCE_UNREACHABLE", name + ": the camera ended the stream", true});
  if (writer_.frames_in_pass() == 0) {
    return fail(damage_.value_or(
        SourceError{"SOURCE_BROKEN", name + ": no frame could be decoded", false}));
  }
  if (!options_.loop) warned_ns_ = 0;  // The last word on a file is not held back.
  if (damage_) warn(damage_->code, damage_->message + "; played up to there");
  warn_of_damage(0);
  warn_of_early_end();
  return Outcome::kEnded;
}

std::optional<Source::Outcome> Source::check_time() {
  if (const std::optional<SourceError> failure = writer_failure()) return fail(*failure);
  warn_of_damage(pipeline_->decoder().frames);
  const uint64_t now = now_monotonic_ns();
  const uint64_t last = writer_.last_activity_ns();
  const uint64_t silent_ns = now > last ? now - last : 0;
  const std::string name = redact_uri(options_.uri);
  if (damage_ && silent_ns > kDrainNs) return handle_end();
  if (writer_.frames_in_pass() == 0) {
    if (silent_ns < options_.start_timeout_ms * kMillisecondNs) return std::nullopt;
    const std::string wait = std::to_string(options_.start_timeout_ms) + " ms";
    if (is_local_file(options_.uri))
      return fail({"SOURCE_BROKEN", name + ": no frame came out within " + wait, false});
    return fail({"SOURCE_UNREACHABLE", name + ": no frame came within " + wait, true});
  }
  const uint64_t limit_ns = options_.no_frame_timeout_ms * kMillisecondNs;
  if (limit_ns == 0 || is_local_file(options_.uri) || silent_ns < limit_ns) return std::nullopt;
  return fail({"SOURCE_STALLED",
               name + ": no frame for " + std::to_string(options_.no_frame_timeout_ms) + " ms",
               true});
}

std::optional<SourceError> Source::writer_failure() {
  const std::lock_guard lock(failure_mutex_);
  return std::exchange(failure_, std::nullopt);
}

Source::Outcome Source::fail(const SourceError& error) {
  writer_.emit(ErrorEvent{error.code, error.message, error.retryable});
  return Outcome::kFailed;
}

void Source::warn(const std::string& code, const std::string& message) {
  const uint64_t now = now_monotonic_ns();
  if (warned_ns_ != 0 && now - warned_ns_ < kWarningIntervalNs) {
    ++warnings_held_back_;
    return;
  }
  warned_ns_ = now;
  const uint64_t held_back = std::exchange(warnings_held_back_, 0);
  const std::string more =
      held_back > 0 ? " (and " + std::to_string(held_back) + " more warnings)" : "";
  writer_.emit(WarningEvent{code, message + more});
}

void Source::warn_of_damage(uint64_t pending) {
  const uint64_t shown = writer_.frames_in_pass() + pending;
  const uint64_t pictures = pipeline_->pictures();
  const uint64_t lost = pictures > shown ? pictures - shown : 0;
  const uint64_t damaged = writer_.damaged() + lost;
  if (damaged <= damaged_reported_) return;
  damaged_reported_ = damaged;
  warn("SOURCE_BROKEN", redact_uri(options_.uri) + ": " + std::to_string(damaged) +
                            " pictures are damaged or could not be decoded");
}

void Source::warn_of_early_end() {
  const std::optional<uint64_t> length = pipeline_->duration_ns();
  const uint64_t played = writer_.played_in_pass_ns();
  if (!length || played + kEarlyEndNs > *length) return;
  warn("SOURCE_BROKEN", redact_uri(options_.uri) + ": ends after " +
                            std::to_string(played / kMillisecondNs) + " of " +
                            std::to_string(*length / kMillisecondNs) + " ms");
}

}  // namespace framebus
