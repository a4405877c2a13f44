// Recording: files that hold each picture once with its line, and an encoder that
// never waits for them.
#include "core/recording.h"

#include <fstream>
#include <future>

#include "check.h"
#include "output_kit.h"
#include "recording_kit.h"

namespace {

using namespace framebus;
using namespace framebus::test;

struct Stage {
  explicit Stage(RecordingOptions how, uint32_t keyframe_interval_ms = 1000)
      : format(format_of(320, 240)) {
    OutputOptions options = output_options(format);
    options.encode.keyframe_interval_ms = keyframe_interval_ms;
    output = std::make_shared<Output>(options, listener);
    recording = Recording::open(output, std::move(how), monitor);
  }
  ~Stage() { end(); }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  void end() {
    output->close();
    recording->close();
  }
  // Pictures of 25 a second, as fast as the encoder takes them.
  void play(uint64_t count, const std::string& epoch = "a") {
    for (uint64_t n = 0; n < count; ++n, ++next) {
      recording->expect(next, epoch,
                        "{\"seq\":" + std::to_string(next) + ",\"epoch\":\"" + epoch + "\"}");
      push_frame(*output, format, next, static_cast<int64_t>(next) * 40'000'000);
    }
  }

  const FrameFormat format;
  const std::shared_ptr<RecordingListener> listener = std::make_shared<RecordingListener>();
  const std::shared_ptr<NotingMonitor> monitor = std::make_shared<NotingMonitor>();
  std::shared_ptr<Output> output;
  std::shared_ptr<Recording> recording;
  uint64_t next = 0;
};

TEST("segments hold every picture once, with its line, and begin at keyframes") {
  const Folder folder;
  RecordingOptions options = recording_options(folder);
  options.segment_ns = 2 * kSecondNs;
  Stage stage(options);
  stage.play(200);
  stage.end();
  const auto videos = folder.files(".mp4");
  CHECK(videos.size() == 4);
  uint64_t seq = 0;
  for (const fs::path& video : videos) {
    check_matches(video);
    const auto lines = lines_of(fs::path(video).replace_extension(".jsonl"));
    CHECK(lines.front().find("\"keyframe\":true") != std::string::npos);
    for (size_t n = 0; n < lines.size(); ++n, ++seq) {
      CHECK(number_in(lines[n], "seq") == seq);
      CHECK(number_in(lines[n], "pts") == n * 3600);
    }
  }
  CHECK(seq == 200);
  const RecordingStats stats = stage.recording->stats();
  CHECK(stats.segments == 4 && stats.dropped_gops == 0 && stats.failures == 0);
  uint64_t bytes = 0;
  for (const char* extension : {".mp4", ".jsonl"})
    for (const fs::path& file : folder.files(extension)) bytes += fs::file_size(file);
  CHECK(stats.bytes == bytes);
  CHECK(stats.file.empty());
}

TEST("a segment stays below its size") {
  const Folder folder;
  RecordingOptions options = recording_options(folder);
  options.max_bytes = 40'000;
  Stage stage(options);
  stage.play(300);
  stage.end();
  const auto videos = folder.files(".mp4");
  CHECK(videos.size() >= 2);
  for (const fs::path& video : videos) {
    check_matches(video);
    // By as much as a group of pictures may be larger than the one before.
    CHECK(fs::file_size(video) < 50'000);
  }
}

TEST("a new epoch begins a new segment at its first keyframe") {
  const Folder folder;
  Stage stage(recording_options(folder), 60'000);
  stage.play(60, "first");
  stage.play(60, "second");
  // The keyframe that the epoch asked for may not have been due yet.
  for (int n = 0; n < 100 && stage.recording->stats().segments < 2; ++n) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stage.play(10, "second");
  }
  stage.end();
  const auto sidecars = folder.files(".jsonl");
  CHECK(sidecars.size() == 2);
  CHECK(lines_of(sidecars[0]).front().find("\"epoch\":\"first\"") != std::string::npos);
  for (const std::string& line : lines_of(sidecars[1]))
    CHECK(line.find("\"epoch\":\"second\"") != std::string::npos);
}

TEST("what came last is on the disk although nothing comes after it") {
  const Folder folder;
  Stage stage(recording_options(folder));
  stage.play(30);
  CHECK(eventually([&] {
    if (!fs::exists(folder.path())) return false;
    const auto sidecars = folder.files(".jsonl");
    return !sidecars.empty() && lines_of(sidecars[0]).size() == 30;
  }));
  const Parsed parsed = parse(folder.files(".mp4")[0]);
  CHECK(parsed.ticks.size() == 30 && parsed.trailing_bytes == 0);
}

TEST("a writer that hangs costs groups of pictures, not the encoder's time") {
  const Folder folder;
  std::ofstream(folder.path()) << "in the way";
  std::promise<void> disk;
  RecordingOptions options = recording_options(folder);
  options.queue_bytes = 8'000;
  Stage stage(options);
  stage.monitor->hold = std::make_unique<std::future<void>>(disk.get_future());
  stage.play(1);
  CHECK(eventually([&] { return stage.monitor->failed == 1; }));
  CHECK(stage.monitor->last.find("RECORDING_FAILED: recording of test: ") == 0);
  // Ten seconds of video, which the encoder must get through by itself.
  stage.play(250);
  CHECK(eventually([&] { return stage.listener->encoded().size() == 251; }));
  CHECK(stage.monitor->dropped >= 5);
  CHECK(stage.recording->stats().dropped_gops >= 6);
  CHECK(stage.listener->errors().empty());

  fs::remove(folder.path());
  disk.set_value();
  CHECK(eventually([&] {
    stage.play(5);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return stage.monitor->resumed == 1;
  }));
  stage.end();
  CHECK(stage.monitor->failed == 1);
  CHECK(stage.recording->stats().failures == 1);
  for (const fs::path& video : folder.files(".mp4")) check_matches(video);
}

TEST("a removed folder is told of once, and made again") {
  const Folder folder;
  Stage stage(recording_options(folder));
  const auto play_until = [&](auto fact) {
    return eventually([&] {
      stage.play(5);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      return fact();
    });
  };
  CHECK(play_until([&] { return stage.recording->stats().segments == 1; }));
  fs::remove_all(folder.path());
  CHECK(play_until([&] { return stage.monitor->resumed == 1; }));
  CHECK(stage.monitor->failed == 1);
  CHECK(stage.monitor->last.find("the file was removed") != std::string::npos);
  stage.end();
  CHECK(folder.files(".mp4").size() == 1);
  check_matches(folder.files(".mp4")[0]);
}

TEST("recordings come and go without a trace") {
  const auto entries = [](const char* directory) {
    return std::distance(fs::directory_iterator(directory), fs::directory_iterator());
  };
  const auto round = [] {
    const Folder folder;
    Stage stage(recording_options(folder));
    stage.play(5);
  };
  round();
  const auto files = entries("/proc/self/fd");
  for (int n = 0; n < 10; ++n) round();
  CHECK(entries("/proc/self/fd") <= files);
}

}  // namespace

int main() { return framebus::test::run_all(); }
