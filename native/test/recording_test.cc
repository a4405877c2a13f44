// Recording: files that hold each picture once with its line, and an encoder that
// never waits for them.
#include "core/recording.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>

#include "check.h"
#include "core/monotonic.h"
#include "output_kit.h"

namespace {

using namespace framebus;
using namespace framebus::test;
namespace fs = std::filesystem;

constexpr auto kPatience = std::chrono::seconds(60);
constexpr uint64_t kSecondNs = 1'000'000'000;

class Folder {
 public:
  Folder()
      : path_(fs::temp_directory_path() /
              ("framebus-recording-" + std::to_string(monotonic_ns()))) {}
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const fs::path& path() const { return path_; }

  // Oldest first.
  std::vector<fs::path> files(const char* extension) const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(path_))
      if (entry.path().extension() == extension) found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
  }

 private:
  const fs::path path_;
};

class NotingMonitor : public RecordingMonitor {
 public:
  void on_dropped() override { ++dropped; }
  void on_failed(const std::string& code, const std::string& message) override {
    last = code + ": " + message;
    ++failed;
    if (hold) hold->get();
  }
  void on_resumed(const std::string&) override { ++resumed; }

  std::atomic<int> dropped = 0;
  std::atomic<int> failed = 0;
  std::atomic<int> resumed = 0;
  std::string last;  // Written before `failed` counts.
  // The writer waits for it where it tells of a failure, as it would for a disk.
  std::unique_ptr<std::future<void>> hold;
};

template <class Fact>
bool eventually(Fact fact) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!fact()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

std::vector<std::string> lines_of(const fs::path& file) {
  std::ifstream in(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The number that stands behind a key.
uint64_t number_in(const std::string& line, const std::string& key) {
  const size_t at = line.find("\"" + key + "\":");
  CHECK(at != std::string::npos);
  return std::stoull(line.substr(at + key.size() + 3));
}

// Sample counts and times as the fragments of a file have them.
struct Parsed {
  std::vector<uint64_t> ticks;
  std::vector<uint64_t> sizes;
  uint64_t trailing_bytes = 0;  // Of a box that is not whole.
  bool index = false;
  bool duration = false;
};

Parsed parse(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(in), {}};
  const auto number = [&bytes](size_t at, size_t width) {
    uint64_t value = 0;
    for (size_t n = 0; n < width; ++n) value = value << 8 | bytes.at(at + n);
    return value;
  };
  const auto named = [&bytes](size_t at, const char* name) {
    return std::equal(name, name + 4, bytes.begin() + static_cast<std::ptrdiff_t>(at) + 4);
  };
  Parsed parsed;
  size_t at = 0;
  while (at + 8 <= bytes.size() && at + number(at, 4) <= bytes.size()) {
    const size_t size = number(at, 4);
    if (named(at, "moof")) {
      // moof 8, mfhd 16, traf 8, tfhd 16, tfdt 20, trun 20 and 12 a sample.
      uint64_t ticks = number(at + 8 + 16 + 8 + 16 + 12, 8);
      const size_t run = at + 8 + 16 + 8 + 16 + 20;
      for (uint64_t n = 0; n < number(run + 12, 4); ++n) {
        parsed.ticks.push_back(ticks);
        ticks += number(run + 20 + n * 12, 4);
        parsed.sizes.push_back(number(run + 24 + n * 12, 4));
      }
    }
    parsed.index = parsed.index || named(at, "mfra");
    if (named(at, "moov")) {
      const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
      const std::string mehd = "mehd";
      const auto end = begin + static_cast<std::ptrdiff_t>(size);
      parsed.duration = std::search(begin, end, mehd.begin(), mehd.end()) != end;
    }
    at += size;
  }
  parsed.trailing_bytes = bytes.size() - at;
  return parsed;
}

// A file's lines say of its pictures what its boxes say.
void check_matches(const fs::path& video) {
  const Parsed parsed = parse(video);
  CHECK(parsed.trailing_bytes == 0);
  CHECK(parsed.index && parsed.duration);
  const auto lines = lines_of(fs::path(video).replace_extension(".jsonl"));
  CHECK(lines.size() == parsed.ticks.size());
  for (size_t n = 0; n < lines.size(); ++n) {
    CHECK(number_in(lines[n], "frame") == n);
    CHECK(number_in(lines[n], "pts") == parsed.ticks[n]);
    CHECK(number_in(lines[n], "bytes") == parsed.sizes[n]);
  }
}

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

RecordingOptions recording_options(const Folder& folder) {
  return {.folder = folder.path().string(),
          .segment_ns = 3600 * kSecondNs,
          .max_bytes = 0,
          .sidecar = true,
          .queue_bytes = 64 << 20};
}

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
