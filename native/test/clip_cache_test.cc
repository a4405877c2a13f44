// ClipCache: clips that begin before they were asked for, with every picture and its line
// once, from a cache that stays small.
#include "core/clip_cache.h"

#include "check.h"
#include "output_kit.h"
#include "recording_kit.h"

namespace {

using namespace framebus;
using namespace framebus::test;

constexpr uint64_t kKeyframeMs = 400;

// Pictures of 25 a second of the stream's own time, a keyframe every 400 ms of it.
struct Stage {
  explicit Stage(ClipCacheOptions options) : format(format_of(320, 240)) {
    OutputOptions how = output_options(format);
    how.encode.keyframe_interval_ms = kKeyframeMs;
    output = std::make_shared<Output>(how, listener);
    cache = ClipCache::open(output, options);
  }
  ~Stage() { output->close(); }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  void push(uint64_t count) {
    for (uint64_t n = 0; n < count; ++n, ++next) {
      cache->expect(next, "a", "{\"seq\":" + std::to_string(next) + "}");
      push_frame(*output, format, next, static_cast<int64_t>(next) * 40'000'000);
    }
  }
  // All that was pushed has come out.
  void play(uint64_t count) {
    push(count);
    CHECK(eventually([this] { return listener->encoded().size() == next; }));
  }

  const FrameFormat format;
  const std::shared_ptr<RecordingListener> listener = std::make_shared<RecordingListener>();
  const std::shared_ptr<NotingMonitor> monitor = std::make_shared<NotingMonitor>();
  std::shared_ptr<Output> output;
  std::shared_ptr<ClipCache> cache;
  uint64_t next = 0;
};

ClipCacheOptions cache_options(uint64_t pre_roll_ns, uint64_t max_bytes = 64 << 20) {
  return {.pre_roll_ns = pre_roll_ns, .max_bytes = max_bytes};
}

// Numbers of the frames in a video, as its lines have them; each once and in order.
std::pair<uint64_t, uint64_t> frames_of(const fs::path& video) {
  check_matches(video);
  const auto lines = lines_of(fs::path(video).replace_extension(".jsonl"));
  CHECK(!lines.empty());
  CHECK(lines.front().find("\"keyframe\":true") != std::string::npos);
  const uint64_t first = number_in(lines.front(), "seq");
  for (size_t n = 0; n < lines.size(); ++n) CHECK(number_in(lines[n], "seq") == first + n);
  return {first, first + lines.size() - 1};
}

TEST("a clip begins before it was asked for, goes on without a gap, ends with what was pushed") {
  const Folder folder;
  Stage stage(cache_options(2 * kSecondNs));
  stage.play(150);
  const auto clip =
      ClipCache::begin(stage.cache, 2 * kSecondNs, recording_options(folder), stage.monitor);
  stage.push(50);
  clip->end();
  // Of no clip any more.
  stage.play(20);
  const auto videos = folder.files(".mp4");
  CHECK(videos.size() == 1);
  const auto [first, last] = frames_of(videos[0]);
  // Two seconds before frame 149, or at the keyframe before, which is 400 ms away at most.
  CHECK(first <= 99 && first >= 88);
  CHECK(last == 199);
  CHECK(clip->pre_roll_ns() == (149 - first) * 40'000'000);
  CHECK(stage.monitor->begun == 1 && stage.monitor->dropped == 0);
}

TEST("clips overlap, and may want less than there is") {
  const Folder folder;
  const Folder other;
  Stage stage(cache_options(2 * kSecondNs));
  stage.play(100);
  const auto whole =
      ClipCache::begin(stage.cache, 60 * kSecondNs, recording_options(folder), stage.monitor);
  const auto none = ClipCache::begin(stage.cache, 0, recording_options(other), stage.monitor);
  stage.push(10);
  whole->end();
  stage.push(10);
  none->end();
  const auto [first, last] = frames_of(folder.files(".mp4").at(0));
  // The cache has its two seconds and a group of pictures at most.
  CHECK(first >= 99 - 50 - 11 && first <= 99 - 50);
  CHECK(last == 109);
  const auto [later, end] = frames_of(other.files(".mp4").at(0));
  CHECK(later >= 99 - 11 && later <= 99);
  CHECK(end == 119);
}

TEST("the cache keeps what pre-roll needs, and never more than its bytes") {
  Stage stage(cache_options(kSecondNs));
  for (int n = 0; n < 20; ++n) {
    stage.play(10);
    CHECK(stage.cache->stats().frames <= 25 + 11 + 1);
  }
  CHECK(stage.cache->stats().frames >= 25);

  const uint64_t few = stage.cache->stats().bytes / 2;
  Stage tight(cache_options(60 * kSecondNs, few));
  uint64_t most = 0;
  for (int n = 0; n < 20; ++n) {
    tight.play(10);
    CHECK(tight.cache->stats().bytes <= few);
    most = std::max(most, tight.cache->stats().frames);
  }
  CHECK(most > 0);

  // A group of pictures that is too large is not kept at all; clips begin at the next one.
  const Folder folder;
  Stage none(cache_options(kSecondNs, 100));
  none.play(30);
  CHECK(none.cache->stats().frames == 0);
  const auto clip =
      ClipCache::begin(none.cache, kSecondNs, recording_options(folder), none.monitor);
  CHECK(clip->pre_roll_ns() == 0);
  none.play(30);
  clip->end();
  const auto [first, last] = frames_of(folder.files(".mp4").at(0));
  CHECK(first > 29 && last == 59);
}

TEST("the end of the output finishes the clip; one that is begun later has nothing") {
  const Folder folder;
  Stage stage(cache_options(kSecondNs));
  stage.play(50);
  const auto clip =
      ClipCache::begin(stage.cache, kSecondNs, recording_options(folder), stage.monitor);
  stage.push(10);
  stage.output->close();
  clip->end();
  CHECK(frames_of(folder.files(".mp4").at(0)).second == 59);
  CHECK(stage.cache->stats().frames == 0 && stage.cache->stats().bytes == 0);
  const auto late =
      ClipCache::begin(stage.cache, kSecondNs, recording_options(folder), stage.monitor);
  late->end();
  CHECK(folder.files(".mp4").size() == 1);
}

TEST("a clip fails alone") {
  const Folder folder;
  std::ofstream(folder.path()) << "in the way";
  Stage stage(cache_options(kSecondNs));
  stage.play(50);
  const auto clip =
      ClipCache::begin(stage.cache, kSecondNs, recording_options(folder), stage.monitor);
  CHECK(eventually([&] { return stage.monitor->failed == 1; }));
  CHECK(stage.monitor->begun == 0);
  stage.play(50);
  clip->end();
  CHECK(stage.listener->errors().empty());
}

}  // namespace

int main() { return framebus::test::run_all(); }
