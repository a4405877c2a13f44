#include "rtsp_feed.h"

#include <gst/app/gstappsrc.h>

#include <algorithm>
#include <utility>

#include "output.h"

namespace framebus {
namespace {

// Pictures that may wait for the payloader; normally there are none.
constexpr guint64 kMostWaiting = 30;
constexpr guint64 kMostWaitingBytes = 8U << 20;
constexpr guint64 kFewWaiting = 2;
// Smallest step of the payloader's 90 kHz clock.
constexpr GstClockTime kTickNs = 11'112;

}  // namespace

RtspFeed::RtspFeed(std::shared_ptr<Output> output, GstElement* appsrc, Keyframe first)
    : output_(std::move(output)), source_(share(appsrc)), first_(std::move(first)) {}

RtspFeed::~RtspFeed() = default;

void RtspFeed::attach() {
  gst_app_src_set_caps(GST_APP_SRC(source_.get()), first_->caps.get());
  GstAppSrcCallbacks callbacks{};
  callbacks.need_data = [](GstAppSrc*, guint, gpointer weak) {
    if (const auto feed = static_cast<std::weak_ptr<RtspFeed>*>(weak)->lock()) feed->prime();
  };
  auto weak = std::make_unique<std::weak_ptr<RtspFeed>>(weak_from_this());
  gst_app_src_set_callbacks(GST_APP_SRC(source_.get()), &callbacks, weak.release(),
                            [](gpointer given) {
                              const std::unique_ptr<std::weak_ptr<RtspFeed>> owned(
                                  static_cast<std::weak_ptr<RtspFeed>*>(given));
                            });
}

// The appsrc runs and has nothing: the first time, it gets the kept keyframe.
void RtspFeed::prime() {
  const std::lock_guard lock(mutex_);
  if (source_ == nullptr || !first_) return;
  GstPtr<GstBuffer> buffer(gst_buffer_copy(first_->buffer.get()));
  first_.reset();
  if (last_pts_ != GST_CLOCK_TIME_NONE) return;
  last_pts_ = gst_element_get_current_running_time(source_.get());
  if (last_pts_ == GST_CLOCK_TIME_NONE) last_pts_ = 0;
  GST_BUFFER_PTS(buffer.get()) = last_pts_;
  GST_BUFFER_DTS(buffer.get()) = last_pts_;
  gst_app_src_push_buffer(GST_APP_SRC(source_.get()), buffer.release());
}

void RtspFeed::play() {
  {
    const std::lock_guard lock(mutex_);
    playing_ = true;
  }
  if (const auto output = output_.lock()) output->request_keyframe();
}

bool RtspFeed::has_room(bool resuming) const {
  auto* source = GST_APP_SRC(source_.get());
  return gst_app_src_get_current_level_buffers(source) < (resuming ? kFewWaiting : kMostWaiting) &&
         gst_app_src_get_current_level_bytes(source) < kMostWaitingBytes;
}

bool RtspFeed::on_access_unit(const AccessUnit& unit) {
  const std::lock_guard lock(mutex_);
  if (source_ == nullptr) return false;
  if (!playing_) return true;
  if (!has_room(waiting_for_keyframe_)) {
    waiting_for_keyframe_ = true;
    ++dropped_;
    return true;
  }
  if (waiting_for_keyframe_) {
    if (!unit.keyframe) {
      ++dropped_;
      if (const auto output = output_.lock()) output->request_keyframe();
      return true;
    }
    waiting_for_keyframe_ = false;
  }
  push(unit);
  return true;
}

void RtspFeed::push(const AccessUnit& unit) {
  const GstClockTime now = gst_element_get_current_running_time(source_.get());
  if (now == GST_CLOCK_TIME_NONE) {  // Not running yet.
    waiting_for_keyframe_ = true;
    return;
  }
  const int64_t behind = static_cast<int64_t>(now) - static_cast<int64_t>(unit.time_ns);
  offset_ns_ = std::min(offset_ns_.value_or(behind), behind);
  GstClockTime pts = static_cast<GstClockTime>(static_cast<int64_t>(unit.time_ns) + *offset_ns_);
  if (last_pts_ != GST_CLOCK_TIME_NONE) pts = std::max(pts, last_pts_ + kTickNs);
  last_pts_ = pts;
  GstPtr<GstBuffer> buffer(gst_buffer_copy(unit.buffer));  // Shares the bytes.
  GST_BUFFER_PTS(buffer.get()) = pts;
  GST_BUFFER_DTS(buffer.get()) = pts;
  gst_app_src_push_buffer(GST_APP_SRC(source_.get()), buffer.release());
}

void RtspFeed::on_output_end(const char*) {
  const std::lock_guard lock(mutex_);
  if (source_ != nullptr) gst_app_src_end_of_stream(GST_APP_SRC(source_.get()));
}

void RtspFeed::detach() {
  GstPtr<GstElement> gone;  // Dropped outside the lock.
  const std::lock_guard lock(mutex_);
  gone = std::move(source_);
  first_.reset();
}

}  // namespace framebus
