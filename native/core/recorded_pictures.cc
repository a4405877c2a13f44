#include "recorded_pictures.h"

#include <gst/app/gstappsink.h>

#include "error.h"

namespace framebus {
namespace {

constexpr GstClockTime kTick = 100 * GST_MSECOND;

}  // namespace

RecordedPictures::RecordedPictures(const std::string& file) : file_(file) {
  init_gstreamer();
  GError* error = nullptr;
  GstElement* made = gst_parse_launch(
      "filesrc name=file ! qtdemux ! appsink name=pictures sync=false max-buffers=8", &error);
  const GstPtr<GError> owned(error);
  if (made == nullptr) throw Error("JOIN_FAILED", file_ + ": " + owned->message);
  pipeline_.reset(GST_ELEMENT(gst_object_ref_sink(made)));
  const GstPtr<GstElement> source(gst_bin_get_by_name(GST_BIN(made), "file"));
  const GstPtr<GstElement> sink(gst_bin_get_by_name(GST_BIN(made), "pictures"));
  g_object_set(source.get(), "location", file_.c_str(), nullptr);
  sink_ = sink.get();
  gst_element_set_state(made, GST_STATE_PLAYING);
}

RecordedPictures::~RecordedPictures() { gst_element_set_state(pipeline_.get(), GST_STATE_NULL); }

GstPtr<GstSample> RecordedPictures::next(const std::atomic<bool>& cancelled) {
  auto* sink = reinterpret_cast<GstAppSink*>(sink_);
  while (!cancelled) {
    GstPtr<GstSample> sample(gst_app_sink_try_pull_sample(sink, kTick));
    if (sample != nullptr) return sample;
    check();
    if (gst_app_sink_is_eos(sink) != FALSE) return nullptr;
  }
  return nullptr;
}

void RecordedPictures::check() const {
  const GstPtr<GstBus> bus(gst_element_get_bus(pipeline_.get()));
  const GstPtr<GstMessage> message(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ERROR));
  if (message == nullptr) return;
  GError* error = nullptr;
  gst_message_parse_error(message.get(), &error, nullptr);
  const GstPtr<GError> owned(error);
  throw Error("JOIN_FAILED", file_ + ": " + owned->message);
}

}  // namespace framebus
