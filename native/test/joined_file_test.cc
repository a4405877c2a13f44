#include "core/joined_file.h"

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "check.h"
#include "core/media_file.h"
#include "error_code.h"
#include "source_clip.h"

namespace framebus {
namespace {

// Times of `count` pictures at a rate, as GStreamer rounds them.
std::vector<uint64_t> times_at(uint64_t numerator, uint64_t denominator, uint64_t count) {
  std::vector<uint64_t> times;
  for (uint64_t n = 0; n < count; ++n) times.push_back(n * 1'000'000'000 * denominator / numerator);
  return times;
}

TEST("ticks hold all times") {
  CHECK(ticks_per_second(times_at(25, 1, 100), 25) == 90'000U);
  CHECK(ticks_per_second(times_at(30'000, 1001, 100), 30'000) == 90'000U);
  CHECK(ticks_per_second(times_at(24'000, 1001, 100), 24'000) == 24'000U);
  CHECK(ticks_per_second(times_at(12'800, 1, 1000), 0) == 12'800U);
  CHECK(ticks_per_second({0, 1, 5, 1'234'567}, 0) == 90'000U);
}

// x264 without B-frames, as recordings have it.
std::string recorded(int frames) {
  return test::clip("recorded-" + std::to_string(frames) + ".mp4", 64, 48, frames,
                    "x264enc bframes=0 key-int-max=5 speed-preset=ultrafast ! h264parse ! mp4mux "
                    "fragment-duration=500");
}

std::string with_sound() {
  const std::string path = (test::clip_folder() / "sound.mkv").string();
  test::run_pipeline(
      "videotestsrc num-buffers=20 ! video/x-raw,framerate=25/1,width=64,height=48 ! x264enc ! "
      "h264parse ! queue ! mux. audiotestsrc num-buffers=40 ! opusenc ! queue ! mux. "
      "matroskamux name=mux ! filesink location=" +
      path);
  return path;
}

JoinOptions options(Container container, const char* name) {
  return {.recorded = {recorded(7), recorded(5)},
          .times_ns = times_at(25, 1, 12),
          .sound = {},
          .sound_tracks = 0,
          .sound_from_ns = 0,
          .rate_numerator = 25,
          .rate_denominator = 1,
          .container = container,
          .file = (test::clip_folder() / name).string()};
}

TEST("files follow each other, with the sound of another one") {
  const std::atomic<bool> never = false;
  for (const Container container : {Container::kMp4, Container::kMatroska}) {
    JoinOptions wanted = options(container, "joined");
    wanted.sound = with_sound();
    wanted.sound_tracks = 1;
    wanted.times_ns.back() = 3'000'000'000;
    join_file(wanted, never);
    const MediaFile made = inspect_media_file(wanted.file);
    CHECK(made.width == 64U);
    CHECK(made.sound.size() == size_t{1});
    CHECK(made.sound.front().name == "Opus");
    CHECK(made.duration_ns >= 3'000'000'000);
  }
}

TEST("what does not fit is refused") {
  const std::atomic<bool> never = false;
  JoinOptions wanted = options(Container::kMp4, "short.mp4");
  wanted.times_ns.push_back(1'000'000'000);
  CHECK(test::code_of([&] { join_file(wanted, never); }) == "JOIN_FAILED");
  wanted = options(Container::kMp4, "sizes.mp4");
  wanted.recorded.back() =
      test::clip("recorded-large.mp4", 128, 96, 5,
                 "x264enc bframes=0 speed-preset=ultrafast ! h264parse ! mp4mux");
  std::string message;
  CHECK(test::code_of([&] { join_file(wanted, never); }, &message) == "JOIN_FAILED");
  CHECK(message.find("from picture 7 on") != std::string::npos);
  wanted = options(Container::kMp4, "gone/short.mp4");
  CHECK(test::code_of([&] { join_file(wanted, never); }) == "FILE_UNWRITABLE");
  wanted = options(Container::kMp4, "cancelled.mp4");
  const std::atomic<bool> cancelled = true;
  CHECK(test::code_of([&] { join_file(wanted, cancelled); }) == "CANCELLED");
}

TEST("a file that is no video says so") {
  const std::string gone = (test::clip_folder() / "gone.mp4").string();
  CHECK(test::code_of([&] { inspect_media_file(gone); }) == "SOURCE_NOT_FOUND");
  const std::string wav = (test::clip_folder() / "sound.wav").string();
  test::run_pipeline("audiotestsrc num-buffers=10 ! wavenc ! filesink location=" + wav);
  CHECK(test::code_of([&] { inspect_media_file(wav); }) == "SOURCE_UNSUPPORTED");
  const std::string text = (test::clip_folder() / "text.mp4").string();
  test::write_file(text, std::string(10'000, 'x'));
  CHECK(!test::code_of([&] { inspect_media_file(text); }).empty());
}

}  // namespace
}  // namespace framebus

int main() { return framebus::test::run_all(); }
