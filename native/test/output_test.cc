// Output: what goes in comes out once, in order, with its numbers.
#include "core/output.h"

#include <algorithm>
#include <functional>

#include "check.h"
#include "output_kit.h"

namespace {

using namespace framebus;
using namespace framebus::test;

constexpr int64_t kMs = 1'000'000;

struct Opened {
  explicit Opened(const OutputOptions& options)
      : listener(std::make_shared<RecordingListener>()),
        output(std::make_shared<Output>(options, listener)) {}
  std::shared_ptr<RecordingListener> listener;
  std::shared_ptr<Output> output;
};

void expect_all_frames(PixelFormat pixels, uint32_t width, uint32_t height) {
  const FrameFormat format = format_of(width, height, pixels);
  const Opened opened(output_options(format));
  // Uneven spacing: seq 7 + n at n² ms.
  for (int64_t n = 0; n < 40; ++n)
    push_frame(*opened.output, format, 7 + static_cast<uint64_t>(n), n * n * kMs);
  opened.output->close();
  const auto encoded = opened.listener->encoded();
  CHECK(encoded.size() == 40);
  for (size_t n = 0; n < encoded.size(); ++n) {
    CHECK(encoded[n].seq == 7 + n);
    CHECK(encoded[n].pts_ns == static_cast<int64_t>(n * n) * kMs);
    CHECK(n == 0 || encoded[n].time_ns > encoded[n - 1].time_ns);
    CHECK(encoded[n].bytes > 0);
  }
  CHECK(encoded[0].keyframe);
  CHECK(opened.listener->dropped().empty());
  CHECK(opened.listener->errors().empty());
}

TEST("I420 frames come out once, in order, with seq and pts") {
  expect_all_frames(PixelFormat::kI420, 320, 240);
}
TEST("NV12 frames come out once, in order, with seq and pts") {
  expect_all_frames(PixelFormat::kNv12, 320, 240);
}
TEST("odd sizes are cut to even ones") {
  expect_all_frames(PixelFormat::kI420, 321, 241);
  expect_all_frames(PixelFormat::kNv12, 33, 17);
}

TEST("pictures of another size come out once as well, in that size") {
  for (const PixelFormat pixels : {PixelFormat::kI420, PixelFormat::kNv12}) {
    const FrameFormat format = format_of(321, 241, pixels);
    OutputOptions options = output_options(format);
    options.width = 160;
    const Opened opened(options);
    for (int64_t n = 0; n < 10; ++n)
      push_frame(*opened.output, format, static_cast<uint64_t>(n), n * 40 * kMs,
                 {.boxes = {{200, 100, 100, 100, "person 87 %", 0xFF0000}}});
    CHECK(opened.listener->wait_encoded(10));
    const auto keyframe = opened.output->last_keyframe();
    CHECK(keyframe.has_value());
    const GstStructure* encoded = gst_caps_get_structure(keyframe->caps.get(), 0);
    int width = 0;
    int height = 0;
    CHECK(gst_structure_get(encoded, "width", G_TYPE_INT, &width, "height", G_TYPE_INT, &height,
                            nullptr) != FALSE);
    CHECK(width == 160 && height == 120);
    CHECK(opened.output->snapshot(80).has_value());
    CHECK(opened.listener->errors().empty());
  }
}

TEST("an unknown rate encodes too") {
  const FrameFormat format = format_of(64, 64, PixelFormat::kI420, 0);
  const Opened opened(output_options(format));
  for (int64_t n = 0; n < 20; ++n)
    push_frame(*opened.output, format, static_cast<uint64_t>(n), n * 40 * kMs);
  opened.output->close();
  CHECK(opened.listener->encoded().size() == 20);
}

TEST("timestamps that jump back go on in the output's time") {
  const FrameFormat format = format_of(64, 64);
  const Opened opened(output_options(format));
  const std::vector<int64_t> pts = {0, 40, 80, 0, 40, 40, 9'000'000, 9'000'040};
  for (size_t n = 0; n < pts.size(); ++n) push_frame(*opened.output, format, n, pts[n] * kMs);
  opened.output->close();
  const auto encoded = opened.listener->encoded();
  CHECK(encoded.size() == pts.size());
  for (size_t n = 0; n < encoded.size(); ++n) {
    CHECK(encoded[n].seq == n);
    CHECK(encoded[n].pts_ns == pts[n] * kMs);
    CHECK(n == 0 || encoded[n].time_ns > encoded[n - 1].time_ns);
  }
  CHECK(encoded.back().time_ns < 60'000 * static_cast<uint64_t>(kMs));
}

TEST("keyframes are at most the interval apart, whatever the rate") {
  const FrameFormat format = format_of(64, 64, PixelFormat::kI420, 50);
  OutputOptions options = output_options(format);
  options.encode.keyframe_interval_ms = 1000;
  const Opened opened(options);
  for (int64_t n = 0; n < 60; ++n)  // Really 5 fps.
    push_frame(*opened.output, format, static_cast<uint64_t>(n), n * 200 * kMs);
  opened.output->close();
  uint64_t last = 0;
  size_t keyframes = 0;
  for (const Encoded& unit : opened.listener->encoded()) {
    CHECK(unit.time_ns - last <= 1000 * static_cast<uint64_t>(kMs));
    if (!unit.keyframe) continue;
    last = unit.time_ns;
    ++keyframes;
  }
  CHECK(keyframes >= 12 && keyframes <= 30);
}

TEST("a capture is the picture that is pushed next, drawn or only concealed") {
  const FrameFormat format = format_of(320, 240);
  const Opened opened(output_options(format));
  Overlay overlay;
  overlay.boxes.push_back({40, 40, 100, 100, "", 0xFF0000, false});
  push_frame(*opened.output, format, 1, 0, overlay);
  const auto drawn = opened.output->capture_next(true);
  const auto clean = opened.output->capture_next(false);
  push_frame(*opened.output, format, 2, 40 * kMs, overlay);
  push_frame(*opened.output, format, 3, 80 * kMs, overlay);
  const auto plain = opened.output->capture_next(true);
  push_frame(*opened.output, format, 2, 120 * kMs);
  const auto with_box = opened.output->take(*drawn, 90, std::chrono::seconds(30));
  const auto without = opened.output->take(*clean, 90, std::chrono::seconds(30));
  const auto empty = opened.output->take(*plain, 90, std::chrono::seconds(30));
  CHECK(with_box && with_box->seq == 2);
  CHECK(without && without->seq == 2);
  CHECK(empty && empty->jpeg == without->jpeg);
  CHECK(with_box->jpeg != without->jpeg);
}

TEST("a capture is concealed without being drawn") {
  const FrameFormat format = format_of(320, 240);
  const Opened opened(output_options(format));
  Overlay overlay;
  overlay.concealed.push_back({.x = 0, .y = 0, .width = 320, .height = 120});
  Overlay with_box = overlay;
  with_box.boxes.push_back({40, 40, 100, 100, "", 0xFF0000, false});
  const auto clean = opened.output->capture_next(false);
  push_frame(*opened.output, format, 2, 0, with_box);
  const auto expected = opened.output->capture_next(true);
  push_frame(*opened.output, format, 2, 40 * kMs, overlay);
  const auto taken = opened.output->take(*clean, 90, std::chrono::seconds(30));
  const auto concealed = opened.output->take(*expected, 90, std::chrono::seconds(30));
  CHECK(taken && concealed && taken->jpeg == concealed->jpeg);
}

TEST("a capture without a picture ends") {
  const FrameFormat format = format_of(64, 64);
  const Opened opened(output_options(format));
  const auto late = opened.output->capture_next(true);
  CHECK(!opened.output->take(*late, 90, std::chrono::milliseconds(20)));
  const auto stale = opened.output->capture_next(true);
  opened.output->push(std::make_shared<PaintedLease>(format, 30, false), 1, 0, {});
  CHECK(!opened.output->take(*stale, 90, std::chrono::seconds(30)));
  const auto closed = opened.output->capture_next(false);
  opened.output->close();
  CHECK(!opened.output->take(*closed, 90, std::chrono::seconds(30)));
  CHECK(!opened.output->take(*opened.output->capture_next(true), 90, std::chrono::seconds(30)));
}

TEST("many requests make few keyframes") {
  const FrameFormat format = format_of(64, 64);
  OutputOptions options = output_options(format);
  options.encode.keyframe_interval_ms = 60'000;
  const Opened opened(options);
  const Camera camera(opened.output, format);
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(1800);
  while (std::chrono::steady_clock::now() < until) {
    opened.output->request_keyframe();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  size_t keyframes = 0;
  for (const Encoded& unit : opened.listener->encoded()) keyframes += unit.keyframe ? 1 : 0;
  CHECK(keyframes >= 3 && keyframes <= 6);
}

TEST("a full queue refuses, and what it took is encoded") {
  const FrameFormat format = format_of(1280, 720);
  OutputOptions options = output_options(format);
  options.queue = 2;
  options.encode.preset = "slow";
  const Opened opened(options);
  const auto lease = std::make_shared<PaintedLease>(format, uint8_t{60});
  size_t queued = 0;
  size_t full = 0;
  for (int64_t n = 0; n < 60; ++n) {
    const auto result = opened.output->push(lease, static_cast<uint64_t>(n), n * 40 * kMs, {});
    ++(result == Output::Push::kFull ? full : queued);
  }
  CHECK(full > 0);
  opened.output->close();
  CHECK(opened.listener->encoded().size() == queued);
}

TEST("a yielding output that is too slow holds one frame that waits, until it has caught up") {
  const FrameFormat format = format_of(1280, 720);
  OutputOptions options = output_options(format);
  options.encode.preset = "slow";
  options.queue = 12;
  options.yielding = true;
  const Opened opened(options);
  std::vector<std::weak_ptr<PaintedLease>> leases;
  uint64_t seq = 0;
  size_t queued = 0;
  const auto held = [&leases] {
    return std::ranges::count_if(leases, [](const auto& lease) { return !lease.expired(); });
  };
  const auto take = [&](const std::shared_ptr<PaintedLease>& lease) {
    ++seq;
    const auto pushed = opened.output->push(lease, seq, static_cast<int64_t>(seq) * 40 * kMs, {});
    if (pushed == Output::Push::kQueued) ++queued;
    return pushed == Output::Push::kQueued;
  };
  const auto push = [&] {
    const auto lease = std::make_shared<PaintedLease>(format, static_cast<uint8_t>(30 + seq % 150));
    leases.push_back(lease);
    return take(lease);
  };
  while (push()) CHECK(seq < 1000);
  CHECK(held() >= 12);
  // One waits, another one may be in the copy; but for moments in which nothing was pushed.
  while (held() > 2) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  int few = 0;
  for (int n = 0; n < 200; ++n) {
    push();
    if (held() <= 2) ++few;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  CHECK(few > 100);
  // The thread may need a moment more after the last picture has come out.
  const auto lease = std::make_shared<PaintedLease>(format, uint8_t{90});
  for (int round = 0; round < 20; ++round) {
    CHECK(opened.listener->wait_encoded(queued));
    uint32_t taken = 0;
    while (taken < options.queue && take(lease)) ++taken;
    if (taken == options.queue) return;
  }
  CHECK(!"the whole queue is there again");
}

TEST("a revoked lease is told as stale") {
  const FrameFormat format = format_of(64, 64);
  const Opened opened(output_options(format));
  push_frame(*opened.output, format, 1, 0);
  opened.output->push(std::make_shared<PaintedLease>(format, uint8_t{50}, false), 2, 40 * kMs, {});
  opened.output->close();
  CHECK(opened.listener->encoded().size() == 1);
  CHECK(
      (opened.listener->dropped() == std::vector<std::pair<uint64_t, std::string>>{{2, "stale"}}));
}

TEST("the lease ends with the copy, not with the encoding") {
  const FrameFormat format = format_of(64, 64);
  const Opened opened(output_options(format));
  auto lease = std::make_shared<PaintedLease>(format, uint8_t{50});
  const std::weak_ptr<PaintedLease> watched = lease;
  opened.output->push(std::move(lease), 1, 0, {});
  CHECK(opened.listener->wait_encoded(1));
  CHECK(watched.expired());
}

TEST("snapshots show the latest drawn picture") {
  const FrameFormat format = format_of(320, 240);
  const Opened opened(output_options(format));
  CHECK(!opened.output->snapshot(80).has_value());
  push_frame(*opened.output, format, 41, 0);
  push_frame(*opened.output, format, 42, 40 * kMs,
             {.boxes = {{20, 20, 100, 100, "person 87 %", 0xFF0000}}});
  CHECK(opened.listener->wait_encoded(2));
  const auto picture = opened.output->snapshot(80);
  CHECK(picture.has_value());
  CHECK(picture->seq == 42);
  CHECK(picture->jpeg.size() > 1000);
  CHECK(picture->jpeg[0] == 0xFF && picture->jpeg[1] == 0xD8);
  opened.output->close();
}

TEST("an encoder that fails says so once, and accounts for every frame") {
  const FrameFormat format = format_of(20'000, 64);  // More than x264 takes.
  const Opened opened(output_options(format));
  for (int64_t n = 0; n < 6; ++n)
    push_frame(*opened.output, format, static_cast<uint64_t>(n), n * 40 * kMs);
  opened.output->close();
  CHECK(opened.listener->encoded().empty());
  CHECK(opened.listener->dropped().size() == 6);
  CHECK(opened.listener->errors().size() == 1);
  CHECK(opened.listener->errors()[0].starts_with("ENCODER_FAILED: output test: "));
}

TEST("wrong options and frames are refused with their names") {
  const auto code = [](const std::function<void()>& attempt) {
    try {
      attempt();
    } catch (const Error& error) {
      return std::string(error.code());
    }
    return std::string("none");
  };
  OutputOptions options = output_options(format_of(64, 64));
  options.encode.preset = "fastest";
  CHECK(code([&] { Opened opened(options); }) == "BAD_OPTIONS");
  options = output_options(format_of(64, 64));
  options.width = 33;
  CHECK(code([&] { Opened opened(options); }) == "BAD_OPTIONS");
  options = output_options(format_of(0, 64));
  CHECK(code([&] { Opened opened(options); }) == "BAD_OPTIONS");
  const Opened opened(output_options(format_of(64, 64)));
  const auto other = std::make_shared<PaintedLease>(format_of(64, 62), uint8_t{50});
  CHECK(code([&] { opened.output->push(other, 1, 0, {}); }) == "OUTPUT_FORMAT");
  opened.output->close();
  opened.output->close();
  const auto fitting = std::make_shared<PaintedLease>(format_of(64, 64), uint8_t{50});
  CHECK(code([&] { opened.output->push(fitting, 1, 0, {}); }) == "OUTPUT_CLOSED");
}

}  // namespace

int main() { return framebus::test::run_all(); }
