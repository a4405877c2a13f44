// What the tests of recordings share: a folder, what is in its files, and a monitor.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "core/monotonic.h"
#include "core/recording.h"

namespace framebus::test {

namespace fs = std::filesystem;

inline constexpr auto kPatience = std::chrono::seconds(60);
inline constexpr uint64_t kSecondNs = 1'000'000'000;

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
  void on_begun(const std::string&) override { ++begun; }
  void on_resumed(const std::string&) override { ++resumed; }

  std::atomic<int> dropped = 0;
  std::atomic<int> failed = 0;
  std::atomic<int> begun = 0;
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

inline std::vector<std::string> lines_of(const fs::path& file) {
  std::ifstream in(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The number that stands behind a key.
inline uint64_t number_in(const std::string& line, const std::string& key) {
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

inline Parsed parse(const fs::path& file) {
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
inline void check_matches(const fs::path& video) {
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

inline RecordingOptions recording_options(const Folder& folder) {
  return {.folder = folder.path().string(),
          .segment_ns = 3600 * kSecondNs,
          .max_bytes = 0,
          .sidecar = true,
          .queue_bytes = 64 << 20};
}

}  // namespace framebus::test
