#include "viewer.h"

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>

#include <algorithm>
#include <utility>

#include "encoder_element.h"
#include "error.h"

namespace framebus {
namespace {

// What may be on the way to a viewer: so many seconds of the output's highest bitrate.
constexpr uint64_t kLimitSeconds = 4;
constexpr uint64_t kLeastLimitBytes = 1U << 20;
// Pictures inside of the muxer; it keeps two.
constexpr guint64 kMostMuxing = 64;
constexpr gint kTicksPerSecond = 90'000;

uint64_t limit_of(const OutputOptions& options) {
  return std::max(uint64_t{peak_kbps(options.encode)} * 125 * kLimitSeconds, kLeastLimitBytes);
}

}  // namespace

std::shared_ptr<Viewer> Viewer::open(std::shared_ptr<Output> output,
                                     std::shared_ptr<ViewerListener> listener) {
  struct Enabled : Viewer {
    Enabled(std::shared_ptr<Output> from, std::shared_ptr<ViewerListener> to)
        : Viewer(std::move(from), std::move(to)) {}
  };
  auto viewer = std::make_shared<Enabled>(output, std::move(listener));
  output->add_sink(viewer);
  return viewer;
}

Viewer::Viewer(std::shared_ptr<Output> output, std::shared_ptr<ViewerListener> listener)
    : output_(std::move(output)),
      listener_(std::move(listener)),
      limit_bytes_(limit_of(output_->options())),
      stream_([this](bool init, std::vector<uint8_t> data) {
        outstanding_bytes_ += data.size();
        listener_->on_data(init, std::move(data));
      }) {
  build();
}

Viewer::~Viewer() { close(); }

void Viewer::build() {
  // One picture a fragment. The muxer holds back two, to know how long they last.
  GError* failure = nullptr;
  pipeline_ = GstPtr<GstElement>(
      gst_parse_launch("mp4mux name=mux fragment-duration=1 ! appsink name=sink sync=false"
                       " appsrc name=source format=time ! mux.video_0",
                       &failure));
  const GstPtr<GError> owned(failure);
  if (owned != nullptr || pipeline_ == nullptr) {
    throw Error("VIEWER_FAILED", "viewer of output " + output_->options().stream_id + ": " +
                                     (owned != nullptr ? owned->message : "no pipeline"));
  }
  gst_object_ref_sink(pipeline_.get());
  source_.reset(gst_bin_get_by_name(GST_BIN(pipeline_.get()), "source"));
  sink_.reset(gst_bin_get_by_name(GST_BIN(pipeline_.get()), "sink"));
  const GstPtr<GstElement> mux(gst_bin_get_by_name(GST_BIN(pipeline_.get()), "mux"));
  const GstPtr<GstPad> pad(gst_element_get_static_pad(source_.get(), "src"));
  const GstPtr<GstPad> track(gst_pad_get_peer(pad.get()));
  g_object_set(track.get(), "trak-timescale", kTicksPerSecond, nullptr);

  GstAppSinkCallbacks callbacks{};
  callbacks.new_sample = [](GstAppSink*, gpointer self) {
    return static_cast<Viewer*>(self)->pull();
  };
  gst_app_sink_set_callbacks(GST_APP_SINK(sink_.get()), &callbacks, this, nullptr);
  const GstPtr<GstBus> bus(gst_element_get_bus(pipeline_.get()));
  gst_bus_set_sync_handler(
      bus.get(),
      [](GstBus*, GstMessage* message, gpointer self) {
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR)
          static_cast<Viewer*>(self)->end("the muxer has failed");
        gst_message_unref(message);
        return GST_BUS_DROP;
      },
      this, nullptr);
  gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING);
}

bool Viewer::on_access_unit(const AccessUnit& unit) {
  if (ended_) return false;
  if (!first_time_ns_) {
    if (!unit.keyframe) return true;
    first_time_ns_ = unit.time_ns;
    gst_app_src_set_caps(GST_APP_SRC(source_.get()), unit.caps);
  }
  if (outstanding_bytes_ > limit_bytes_ ||
      gst_app_src_get_current_level_buffers(GST_APP_SRC(source_.get())) > kMostMuxing) {
    end("slow");
    return false;
  }
  push(unit);
  return true;
}

void Viewer::push(const AccessUnit& unit) {
  GstPtr<GstBuffer> buffer(gst_buffer_copy(unit.buffer));  // Shares the bytes.
  GST_BUFFER_PTS(buffer.get()) = unit.time_ns - *first_time_ns_;
  GST_BUFFER_DTS(buffer.get()) = GST_BUFFER_PTS(buffer.get());
  GST_BUFFER_DURATION(buffer.get()) = GST_CLOCK_TIME_NONE;
  gst_app_src_push_buffer(GST_APP_SRC(source_.get()), buffer.release());
}

GstFlowReturn Viewer::pull() {
  const GstPtr<GstSample> sample(gst_app_sink_pull_sample(GST_APP_SINK(sink_.get())));
  if (sample == nullptr) return GST_FLOW_EOS;
  if (ended_) return GST_FLOW_EOS;
  const BufferBytes bytes(gst_sample_get_buffer(sample.get()));
  if (stream_.add({bytes.data(), bytes.size()})) return GST_FLOW_OK;
  end("the muxer wrote something else than fragments");
  return GST_FLOW_ERROR;
}

void Viewer::acknowledge(uint64_t bytes) {
  uint64_t now = outstanding_bytes_;
  while (!outstanding_bytes_.compare_exchange_weak(now, now - std::min(now, bytes))) {
  }
}

void Viewer::end(const std::string& reason) {
  if (!ended_.exchange(true)) listener_->on_end(reason);
}

void Viewer::on_output_end(const char* reason) { end(reason); }

void Viewer::close() {
  const std::lock_guard closing(close_mutex_);
  if (closed_) return;
  closed_ = true;
  ended_ = true;
  output_->remove_sink(this);
  gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
  const GstPtr<GstBus> bus(gst_element_get_bus(pipeline_.get()));
  gst_bus_set_sync_handler(bus.get(), nullptr, nullptr, nullptr);
}

}  // namespace framebus
