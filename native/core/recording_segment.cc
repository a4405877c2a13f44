#include "recording_segment.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>

#include "error.h"

namespace framebus {
namespace {

// Two fragments a second: what a crash may cost.
constexpr uint64_t kFragmentNs = 500'000'000;
constexpr uint64_t kGuessedDurationTicks = kMp4TicksPerSecond / 25;
constexpr mode_t kFileMode = 0640;
// Segments whose names fall on the same millisecond, after the clock was set back.
constexpr int kMostAttempts = 1000;

int64_t now_unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// "2026-11-21T22-05-00.123Z"
std::string utc_name(int64_t unix_ms) {
  const time_t seconds = unix_ms / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d-%02d-%02d.%03dZ", utc.tm_year + 1900,
                utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                static_cast<int>(unix_ms % 1000));
  return text.data();
}

UniqueFd create(const std::string& path) {
  return UniqueFd(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kFileMode));
}

// Whether all bytes went in at `at`; errno says why not.
bool write_all(int fd, const uint8_t* data, size_t bytes, uint64_t at) {
  while (bytes > 0) {
    const ssize_t written = ::pwrite(fd, data, bytes, static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    data += written;
    bytes -= static_cast<size_t>(written);
    at += static_cast<uint64_t>(written);
  }
  return true;
}

}  // namespace

RecordingSegment::RecordingSegment(const std::string& folder, const RecordedFrame& first,
                                   bool sidecar)
    : caps_(share(first.caps.get())),
      epoch_(first.epoch),
      first_time_ns_(first.time_ns),
      last_duration_ticks_(kGuessedDurationTicks) {
  const Mp4Track track = mp4_track(caps_.get());
  open(folder);
  if (sidecar) {
    sidecar_.fd = create(sidecar_.path);
    if (!sidecar_.fd) {
      const std::string cause = std::strerror(errno);
      ::unlink(video_.path.c_str());
      fail(sidecar_.path, cause);
    }
  }
  const Mp4Header header = mp4_header(track, static_cast<uint64_t>(now_unix_ms() / 1000));
  duration_at_ = header.duration_at;
  if (!write_all(video_.fd.get(), header.bytes.data(), header.bytes.size(), 0)) {
    const std::string cause = std::strerror(errno);
    ::unlink(video_.path.c_str());
    if (sidecar) ::unlink(sidecar_.path.c_str());
    fail(video_.path, cause);
  }
  video_.bytes = header.bytes.size();
}

RecordingSegment::~RecordingSegment() {
  if (fragments_ > 0) return;
  ::unlink(video_.path.c_str());
  if (sidecar_.fd) ::unlink(sidecar_.path.c_str());
}

void RecordingSegment::open(const std::string& folder) {
  std::error_code made;
  std::filesystem::create_directories(folder, made);
  if (made) fail(folder, made.message());
  const int64_t now_ms = now_unix_ms();
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    const std::string name = folder + "/" + utc_name(now_ms + attempt);
    video_.path = file_ = name + ".mp4";
    sidecar_.path = name + ".jsonl";
    video_.fd = create(video_.path);
    if (video_.fd) return;
    if (errno != EEXIST) break;
  }
  fail(video_.path, std::strerror(errno));
}

uint64_t RecordingSegment::ticks_of(const RecordedFrame& frame) const {
  return mp4_ticks(frame.time_ns - first_time_ns_);
}

void RecordingSegment::add(RecordedFrame frame) {
  // A keyframe begins a fragment, so that the index can point to it.
  if (!pending_.empty() &&
      (frame.keyframe || frame.time_ns - pending_.front().time_ns >= kFragmentNs)) {
    write_pending(ticks_of(frame));
  }
  pending_bytes_ += frame.bytes;
  pending_.push_back(std::move(frame));
}

void RecordingSegment::flush() {
  if (!pending_.empty()) write_pending(ticks_of(pending_.back()) + last_duration_ticks_);
}

// `next_ticks`: when the frame after the pending ones begins.
void RecordingSegment::write_pending(uint64_t next_ticks) {
  std::vector<Mp4Sample> samples;
  for (size_t n = 0; n < pending_.size(); ++n) {
    const uint64_t end = n + 1 < pending_.size() ? ticks_of(pending_[n + 1]) : next_ticks;
    last_duration_ticks_ = end - ticks_of(pending_[n]);
    samples.push_back({.duration_ticks = static_cast<uint32_t>(last_duration_ticks_),
                       .bytes = static_cast<uint32_t>(pending_[n].bytes),
                       .keyframe = pending_[n].keyframe});
  }
  const uint64_t first_ticks = ticks_of(pending_.front());
  std::vector<uint8_t> bytes = mp4_fragment(fragments_ + 1, first_ticks, samples);
  for (const RecordedFrame& frame : pending_) {
    const BufferBytes picture(frame.buffer.get());
    bytes.insert(bytes.end(), picture.data(), picture.data() + picture.size());
  }
  const uint64_t offset = video_.bytes;
  append(video_, bytes.data(), bytes.size());
  if (sidecar_.fd) {
    const std::string text = lines();
    try {
      append(sidecar_, text.data(), text.size());
    } catch (...) {
      video_.bytes = offset;
      cut_back();
      throw;
    }
  }
  if (pending_.front().keyframe) seeks_.push_back({first_ticks, offset});
  end_ticks_ = next_ticks;
  ++fragments_;
  frames_ += pending_.size();
  pending_.clear();
  pending_bytes_ = 0;
}

std::string RecordingSegment::lines() const {
  std::string text;
  uint64_t number = frames_;
  for (const RecordedFrame& frame : pending_) {
    text += "{\"frame\":" + std::to_string(number++) +
            ",\"pts\":" + std::to_string(ticks_of(frame)) + ",\"timeNs\":\"" +
            std::to_string(frame.time_ns - first_time_ns_) +
            "\",\"keyframe\":" + (frame.keyframe ? "true" : "false") +
            ",\"bytes\":" + std::to_string(frame.bytes) + ",\"record\":" + frame.record + "}\n";
  }
  return text;
}

void RecordingSegment::append(File& file, const void* data, size_t bytes) {
  struct stat status {};
  // Writing to a file that was removed succeeds, and nobody would ever see it.
  if (::fstat(file.fd.get(), &status) == 0 && status.st_nlink == 0) {
    fail(file.path, "the file was removed");
  }
  if (!write_all(file.fd.get(), static_cast<const uint8_t*>(data), bytes, file.bytes)) {
    const std::string cause = std::strerror(errno);
    cut_back();
    fail(file.path, cause);
  }
  file.bytes += bytes;
}

// Best effort: what cannot be cut is passed over by players.
void RecordingSegment::cut_back() const {
  for (const File* file : {&video_, &sidecar_}) {
    if (!file->fd) continue;
    [[maybe_unused]] const int cut = ::ftruncate(file->fd.get(), static_cast<off_t>(file->bytes));
  }
}

void RecordingSegment::finish() {
  flush();
  if (fragments_ == 0) return;
  const std::vector<uint8_t> index = mp4_index(seeks_);
  append(video_, index.data(), index.size());
  const std::vector<uint8_t> duration = mp4_duration(end_ticks_);
  if (!write_all(video_.fd.get(), duration.data(), duration.size(), duration_at_)) {
    fail(video_.path, std::strerror(errno));
  }
}

void RecordingSegment::fail(const std::string& path, const std::string& cause) const {
  throw Error("RECORDING_FAILED", path + ": " + cause);
}

}  // namespace framebus
