#include "output.h"

#include <algorithm>
#include <utility>

#include "draw.h"
#include "jpeg.h"
#include "label.h"
#include "monotonic.h"
#include "overlay_scale.h"

namespace framebus {
namespace {

// Who joins has a picture half a second later, the way there included.
constexpr int64_t kForcedKeyframeDistanceNs = 400'000'000;

// One cache of rendered labels for all outputs; never destroyed, because
// outputs may still draw while the process exits.
LabelCache& labels() {
  static LabelCache* const cache = std::make_unique<LabelCache>().release();
  return *cache;
}

std::string size_text(const FrameFormat& format) {
  return std::to_string(format.width) + "x" + std::to_string(format.height) +
         (format.pixel_format == PixelFormat::kNv12 ? " NV12" : " I420");
}

bool same_picture(const FrameFormat& a, const FrameFormat& b) {
  return a.width == b.width && a.height == b.height && a.pixel_format == b.pixel_format &&
         a.matrix == b.matrix && a.range == b.range;
}

// Null where there is nothing to scale.
std::unique_ptr<PictureScaler> make_scaler(const FrameFormat& from, const FrameFormat& to) {
  init_gstreamer();
  if (to == encoded_format(from)) return nullptr;
  return std::make_unique<PictureScaler>(from, to);
}

OutputOptions checked(OutputOptions options) {
  const auto refuse = [&options](const std::string& cause) {
    throw Error("BAD_OPTIONS", "output " + options.stream_id + ": " + cause);
  };
  if (options.format.width < 2 || options.format.height < 2)
    refuse("pictures of " + size_text(options.format) + " cannot be encoded");
  if (options.encode.bitrate_kbps == 0) refuse("bitrateKbps must be at least 1");
  if (options.encode.keyframe_interval_ms == 0) refuse("keyframeIntervalMs must be at least 1");
  if (options.queue == 0) refuse("queue must be at least 1");
  if (options.width % 2 != 0) refuse("width must be even");
  return options;
}

}  // namespace

Output::Output(OutputOptions options, std::shared_ptr<OutputListener> listener)
    : options_(checked(std::move(options))),
      encoded_(scaled_format(options_.format, options_.width)),
      listener_(std::move(listener)),
      scaler_(make_scaler(options_.format, encoded_)),
      keyframe_forced_ns_(monotonic_ns() - kForcedKeyframeDistanceNs),
      pool_(encoded_),
      encoder_(
          {.name = options_.stream_id, .format = encoded_, .encode = options_.encode},
          [this](const AccessUnit& unit) { on_unit(unit); },
          [this](const std::string& message) { on_encoder_error(message); }),
      thread_([this] { run(); }) {}

Output::~Output() { close(); }

Output::Push Output::push(std::shared_ptr<Lease> lease, uint64_t seq, int64_t pts_ns,
                          Overlay overlay) {
  const FrameFormat format = lease->format();
  if (!same_picture(format, options_.format)) {
    throw Error("OUTPUT_FORMAT", "output " + options_.stream_id + ": the frame is " +
                                     size_text(format) + ", the output " +
                                     size_text(options_.format) +
                                     " (or another colour matrix or range); open a new output");
  }
  return queue({.lease = std::move(lease),
                .seq = seq,
                .pts_ns = pts_ns,
                .arrived_ns = monotonic_ns(),
                .overlay = std::move(overlay)});
}

Output::Push Output::push(GstPtr<GstBuffer> picture, uint64_t seq, int64_t pts_ns) {
  return queue(
      {.picture = std::move(picture), .seq = seq, .pts_ns = pts_ns, .arrived_ns = monotonic_ns()});
}

Output::Push Output::queue(Job job) {
  const std::lock_guard lock(mutex_);
  if (closed_) throw Error("OUTPUT_CLOSED", "output " + options_.stream_id + " is closed");
  job.captures = std::exchange(captures_, {});
  if (jobs_.size() >= (behind_ ? 1 : options_.queue)) {
    behind_ = options_.yielding;
    for (const auto& capture : job.captures) capture->settle({});
    return Push::kFull;
  }
  jobs_.push_back(std::move(job));
  wake_.notify_one();
  return Push::kQueued;
}

std::optional<DrawnPicture> Output::latest() const {
  const std::lock_guard lock(mutex_);
  if (latest_.buffer == nullptr) return std::nullopt;
  return DrawnPicture{share(latest_.buffer.get()), latest_.seq, latest_.drawn_ns};
}

std::optional<Snapshot> Output::snapshot(int quality) const {
  std::optional<DrawnPicture> picture = latest();
  if (!picture) return std::nullopt;
  return jpeg_of({std::move(picture->buffer), picture->seq}, quality);
}

std::shared_ptr<Capture> Output::capture_next(bool drawn) {
  auto capture = std::make_shared<Capture>(drawn);
  const std::lock_guard lock(mutex_);
  if (closed_) {
    capture->settle({});
  } else {
    std::erase_if(captures_, [](const auto& other) { return other->settled(); });
    captures_.push_back(capture);
  }
  return capture;
}

std::optional<Snapshot> Output::take(Capture& capture, int quality,
                                     std::chrono::milliseconds timeout) const {
  const NumberedPicture picture = capture.wait(timeout);
  if (picture.buffer == nullptr) return std::nullopt;
  return jpeg_of(picture, quality);
}

std::optional<Snapshot> Output::jpeg_of(const NumberedPicture& picture, int quality) const {
  const PictureMap map(picture.buffer.get(), encoded_, GST_MAP_READ);
  return Snapshot{picture.seq, encode_jpeg(map.view(), quality)};
}

void Output::add_sink(std::shared_ptr<AccessUnitSink> sink) {
  if (!fanout_.add(std::move(sink))) request_keyframe();
}

void Output::remove_sink(const AccessUnitSink* sink) { fanout_.remove(sink); }

void Output::request_keyframe() { keyframe_wanted_ = true; }

void Output::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (jobs_.empty()) behind_ = false;
    wake_.wait(lock, [this] { return closed_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    process(std::move(job));
    lock.lock();
  }
}

void Output::process(Job job) {
  const uint64_t seq = job.seq;
  const int64_t pts_ns = job.pts_ns;
  try {
    GstPtr<GstBuffer> picture = draw(job);
    for (const auto& capture : job.captures)
      capture->settle({picture == nullptr ? nullptr : share(picture.get()), seq});
    if (picture == nullptr) {
      listener_->on_dropped(seq, "stale");
      return;
    }
    keep_latest(picture.get(), seq);
    const uint64_t time_ns = timeline_.place(pts_ns, job.arrived_ns);
    ask_for_keyframe(time_ns);
    if (encoder_.push(std::move(picture), time_ns, seq, pts_ns)) return;
  } catch (const Error& error) {
    listener_->on_error(error.code(), error.what());
  }
  for (const auto& capture : job.captures) capture->settle({});
  listener_->on_dropped(seq, "encoder");
  drop_unfinished();
}

// The one copy, in the output's size.
GstPtr<GstBuffer> Output::copy(const Lease& lease) {
  const FrameRead read = lease.read();
  if (scaler_ == nullptr) return pool_.copy(read.view());
  GstPtr<GstBuffer> picture = pool_.acquire();
  PictureMap map(picture.get(), encoded_, GST_MAP_WRITE);
  scaler_->scale(read.view(), map.frame());
  return picture;
}

// The copy, and the overlay on it. Null when the lease was revoked meanwhile: then
// the pixels may be torn.
GstPtr<GstBuffer> Output::draw(Job& job) {
  if (job.picture != nullptr) return std::move(job.picture);
  GstPtr<GstBuffer> picture = copy(*job.lease);
  const bool intact = job.lease->valid();
  job.lease.reset();
  if (!intact) return nullptr;
  if (scaler_ != nullptr) job.overlay = scaled(std::move(job.overlay), options_.format, encoded_);
  settle_clean(picture.get(), job);
  if (!job.overlay.empty()) {
    PictureMap map(picture.get(), encoded_, GST_MAP_READWRITE);
    draw_overlay(map.pixels(), job.overlay, labels());
  }
  return picture;
}

// For those who want it without the drawing: a copy that is concealed only.
void Output::settle_clean(GstBuffer* picture, const Job& job) {
  if (std::ranges::all_of(job.captures, &Capture::drawn)) return;
  GstPtr<GstBuffer> clean;
  {
    const PictureMap map(picture, encoded_, GST_MAP_READ);
    clean = pool_.copy(map.view());
  }
  if (!job.overlay.concealed.empty()) {
    PictureMap map(clean.get(), encoded_, GST_MAP_READWRITE);
    draw_overlay(map.pixels(), {.concealed = job.overlay.concealed}, labels());
  }
  for (const auto& capture : job.captures)
    if (!capture->drawn()) capture->settle({share(clean.get()), job.seq});
}

// Keyframes are due by request and by time; the encoder's own counting of
// frames is too coarse where the rate varies.
void Output::ask_for_keyframe(uint64_t time_ns) {
  // The first picture is a keyframe anyhow, and GStreamer 1.22 takes no request
  // after one that it got before it had the first picture.
  if (!begun_) return;
  const int64_t now_ns = monotonic_ns();
  const uint64_t interval_ns = uint64_t{options_.encode.keyframe_interval_ms} * 1'000'000;
  const uint64_t last_ns = std::max(keyframe_forced_time_ns_, keyframe_time_ns_.load());
  const bool due = time_ns >= last_ns + interval_ns;
  const bool wanted = keyframe_wanted_ && now_ns - keyframe_forced_ns_ >= kForcedKeyframeDistanceNs;
  if (!due && !wanted) return;
  keyframe_wanted_ = false;
  keyframe_forced_ns_ = now_ns;
  keyframe_forced_time_ns_ = time_ns;
  encoder_.force_keyframe(time_ns);
}

void Output::keep_latest(GstBuffer* picture, uint64_t seq) {
  DrawnPicture latest{share(picture), seq, monotonic_ns()};
  const std::lock_guard lock(mutex_);
  std::swap(latest_, latest);
}

void Output::on_unit(const AccessUnit& unit) {
  begun_ = true;
  if (unit.keyframe) {
    keyframe_time_ns_ = unit.time_ns;
    // Before the delivery: who asks from here on wants a later one.
    keyframe_wanted_ = false;
  }
  fanout_.deliver(unit);
  listener_->on_encoded(unit, monotonic_ns());
}

void Output::on_encoder_error(const std::string& message) {
  fanout_.end("the encoder has failed");
  listener_->on_error("ENCODER_FAILED", message);
}

void Output::drop_unfinished() {
  for (const uint64_t seq : encoder_.take_unfinished()) listener_->on_dropped(seq, "encoder");
}

void Output::close() {
  const std::lock_guard closing(close_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    for (const auto& capture : captures_) capture->settle({});
    captures_.clear();
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  encoder_.drain();
  drop_unfinished();
  fanout_.end("the output was closed");
}

}  // namespace framebus
