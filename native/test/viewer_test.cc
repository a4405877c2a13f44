// Viewer: fragmented MP4 that a decoder takes, for each viewer from its own start.
#include "core/viewer.h"

#include <gst/app/gstappsink.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "check.h"
#include "core/monotonic.h"
#include "output_kit.h"

namespace {

using namespace framebus;
using namespace framebus::test;

struct Watched {
  explicit Watched(std::shared_ptr<Output> output, bool reads = true)
      : listener(std::make_shared<RecordingViewer>()) {
    if (reads) {
      listener->acknowledge = [this](size_t bytes) { acknowledged += bytes; };
    }
    viewer = Viewer::open(std::move(output), listener);
  }
  ~Watched() { viewer->close(); }
  void acknowledge_all() { viewer->acknowledge(acknowledged.exchange(0)); }

  std::atomic<uint64_t> acknowledged = 0;
  std::shared_ptr<RecordingViewer> listener;
  std::shared_ptr<Viewer> viewer;
};

struct Decoded {
  std::vector<GstClockTime> pts;
  int width = 0;
  int height = 0;
};

// Decodes an MP4 file to its end.
Decoded decode(const std::vector<uint8_t>& bytes) {
  const std::string file = std::filesystem::temp_directory_path() /
                           ("framebus-viewer-" + std::to_string(monotonic_ns()) + ".mp4");
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  const std::string launch = "filesrc location=" + file +
                             " ! qtdemux ! h264parse ! avdec_h264 ! appsink name=sink sync=false";
  const GstPtr<GstElement> pipeline(gst_parse_launch(launch.c_str(), nullptr));
  gst_object_ref_sink(pipeline.get());
  const GstPtr<GstElement> sink(gst_bin_get_by_name(GST_BIN(pipeline.get()), "sink"));
  gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
  Decoded decoded;
  while (true) {
    const GstPtr<GstSample> sample(
        gst_app_sink_try_pull_sample(GST_APP_SINK(sink.get()), 5 * GST_SECOND));
    if (sample == nullptr) break;
    decoded.pts.push_back(GST_BUFFER_PTS(gst_sample_get_buffer(sample.get())));
    GstVideoInfo info;
    gst_video_info_from_caps(&info, gst_sample_get_caps(sample.get()));
    decoded.width = info.width;
    decoded.height = info.height;
  }
  gst_element_set_state(pipeline.get(), GST_STATE_NULL);
  std::filesystem::remove(file);
  return decoded;
}

struct Stage {
  explicit Stage(const FrameFormat& format, const OutputOptions& options)
      : listener(std::make_shared<RecordingListener>()),
        output(std::make_shared<Output>(options, listener)),
        camera(std::make_unique<Camera>(output, format)) {}
  ~Stage() {
    camera.reset();
    output->close();
  }
  std::shared_ptr<RecordingListener> listener;
  std::shared_ptr<Output> output;
  std::unique_ptr<Camera> camera;
};

TEST("a viewer's bytes decode, from time 0, each picture once") {
  const FrameFormat format = format_of(320, 240);
  const Stage stage(format, output_options(format));
  const Watched watched(stage.output);
  CHECK(watched.listener->wait_fragments(50));
  watched.viewer->close();
  CHECK(watched.listener->inits() == 1);
  const Decoded decoded = decode(watched.listener->bytes());
  CHECK(decoded.width == 320 && decoded.height == 240);
  CHECK(decoded.pts.size() >= 48);
  CHECK(decoded.pts[0] == 0);
  for (size_t n = 1; n < decoded.pts.size(); ++n) {
    const GstClockTime step = decoded.pts[n] - decoded.pts[n - 1];
    CHECK(step > 39 * GST_MSECOND && step < 41 * GST_MSECOND);
  }
}

TEST("late joiners begin with a keyframe, soon, and one encoder serves all") {
  const FrameFormat format = format_of(320, 240);
  OutputOptions options = output_options(format);
  options.encode.keyframe_interval_ms = 60'000;
  const Stage stage(format, options);
  CHECK(stage.listener->wait_encoded(30));
  std::vector<std::unique_ptr<Watched>> viewers;
  int64_t slowest_ns = 0;
  for (int n = 0; n < 10; ++n) {
    const int64_t asked_ns = monotonic_ns();
    viewers.push_back(std::make_unique<Watched>(stage.output));
    CHECK(viewers.back()->listener->wait_fragments(1));
    slowest_ns = std::max(slowest_ns, monotonic_ns() - asked_ns);
    std::this_thread::sleep_for(std::chrono::milliseconds(130));
  }
  std::printf("# slowest join of ten: %lld ms\n", static_cast<long long>(slowest_ns / 1'000'000));
  for (const auto& viewer : viewers) {
    CHECK(viewer->listener->wait_fragments(20));
    viewer->viewer->close();
    const Decoded decoded = decode(viewer->listener->bytes());
    CHECK(decoded.pts.size() >= 18);
    CHECK(decoded.pts[0] == 0);
  }
  // Ten joins within 1.5 s: one keyframe each 500 ms at most, and one encoder.
  size_t keyframes = 0;
  const auto encoded = stage.listener->encoded();
  for (const Encoded& unit : encoded) keyframes += unit.keyframe ? 1 : 0;
  CHECK(keyframes <= 6);
  for (size_t n = 1; n < encoded.size(); ++n) CHECK(encoded[n].seq > encoded[n - 1].seq);
}

TEST("a viewer that does not read is cut, and harms nobody") {
  const FrameFormat format = format_of(640, 480);
  OutputOptions options = output_options(format);
  options.encode.bitrate_kbps = 20'000;
  const auto listener = std::make_shared<RecordingListener>();
  const auto output = std::make_shared<Output>(options, listener);
  const Watched stuck(output, false);
  Watched reader(output);
  // Noise, so that the bytes come to the limit soon.
  uint64_t seq = 0;
  Overlay overlay;
  std::vector<OverlayBox>& boxes = overlay.boxes;
  while (stuck.listener->end().empty() && seq < 4000) {
    boxes.clear();
    for (uint32_t n = 0; n < 60; ++n) {
      boxes.push_back({static_cast<double>((seq * 37 + n * 91) % 600),
                       static_cast<double>((seq * 53 + n * 67) % 440), 40, 40,
                       std::to_string(seq * n), static_cast<uint32_t>(seq * 7919 + n * 104729)});
    }
    push_frame(*output, format, seq, static_cast<int64_t>(seq) * 40'000'000, overlay);
    reader.acknowledge_all();
    ++seq;
  }
  CHECK(stuck.listener->end() == "slow");
  CHECK(stuck.listener->bytes().size() < 13'000'000);
  const size_t before = reader.listener->bytes().size();
  for (int n = 0; n < 20; ++n, ++seq)
    push_frame(*output, format, seq, static_cast<int64_t>(seq) * 40'000'000, overlay);
  output->close();
  CHECK(reader.listener->bytes().size() > before);
  CHECK(reader.listener->end() == "the output was closed");
  CHECK(listener->encoded().size() == seq);
}

size_t entries(const char* directory) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++count;
  return count;
}

TEST("a hundred viewers and outputs come and go without a trace") {
  const FrameFormat format = format_of(64, 64);
  const auto round = [&format](int viewers) {
    const Stage stage(format, output_options(format));
    for (int n = 0; n < viewers; ++n) {
      const Watched watched(stage.output);
      CHECK(n % 10 != 0 || watched.listener->wait_fragments(1));
    }
  };
  round(3);
  const size_t threads = entries("/proc/self/task");
  const size_t files = entries("/proc/self/fd");
  round(100);
  for (int n = 0; n < 20; ++n) round(1);
  CHECK(entries("/proc/self/fd") <= files);
  CHECK(entries("/proc/self/task") <= threads + 1);
}

}  // namespace

int main() { return framebus::test::run_all(); }
