// What the tests of outputs share: painted frames behind a lease, and listeners
// that write down what they hear.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/lease_table.h"
#include "core/output.h"
#include "core/viewer.h"

namespace framebus::test {

inline FrameFormat format_of(uint32_t width, uint32_t height,
                             PixelFormat pixels = PixelFormat::kI420, uint32_t rate = 25) {
  FrameFormat format;
  format.width = width;
  format.height = height;
  format.pixel_format = pixels;
  format.frame_rate_numerator = rate;
  return format;
}

// A frame in plain memory: luma is `level`, with a bright bar that moves with it.
class PaintedLease : public Lease {
 public:
  PaintedLease(const FrameFormat& format, uint8_t level, bool intact = true)
      : format_(format), layout_(tight_layout(format)), intact_(intact) {
    bytes_.assign(layout_.slot_bytes, 128);
    for (uint32_t y = 0; y < format.height; ++y) {
      uint8_t* row = bytes_.data() + layout_.offset[0] + size_t{layout_.stride[0]} * y;
      std::fill(row, row + format.width, level);
      const uint32_t bar = (level * 7U) % format.width;
      std::fill(row + bar, row + std::min(bar + 16, format.width), uint8_t{235});
    }
  }
  const FrameFormat& format() const override { return format_; }
  FrameRead read() const override {
    FrameView view{.format = format_};
    for (uint32_t plane = 0; plane < plane_count(format_.pixel_format); ++plane) {
      view.data[plane] = bytes_.data() + layout_.offset[plane];
      view.stride[plane] = layout_.stride[plane];
    }
    return FrameRead(view);
  }
  bool valid() const override { return intact_; }

 private:
  const FrameFormat format_;
  const PlaneLayout layout_;
  const bool intact_;
  std::vector<uint8_t> bytes_;
};

struct Encoded {
  uint64_t seq;
  int64_t pts_ns;
  uint64_t time_ns;
  bool keyframe;
  size_t bytes;
};

class RecordingListener : public OutputListener {
 public:
  void on_encoded(const AccessUnit& unit, int64_t) override {
    const std::lock_guard lock(mutex_);
    encoded_.push_back({unit.seq, unit.pts_ns, unit.time_ns, unit.keyframe, unit.bytes});
    heard_.notify_all();
  }
  void on_dropped(uint64_t seq, const char* reason) override {
    const std::lock_guard lock(mutex_);
    dropped_.emplace_back(seq, reason);
    heard_.notify_all();
  }
  void on_error(const char* code, const std::string& message) override {
    const std::lock_guard lock(mutex_);
    errors_.push_back(std::string(code) + ": " + message);
    heard_.notify_all();
  }

  std::vector<Encoded> encoded() const {
    const std::lock_guard lock(mutex_);
    return encoded_;
  }
  std::vector<std::pair<uint64_t, std::string>> dropped() const {
    const std::lock_guard lock(mutex_);
    return dropped_;
  }
  std::vector<std::string> errors() const {
    const std::lock_guard lock(mutex_);
    return errors_;
  }
  // False after 10 s.
  bool wait_encoded(size_t count) {
    std::unique_lock lock(mutex_);
    return heard_.wait_for(lock, std::chrono::seconds(10),
                           [this, count] { return encoded_.size() >= count; });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable heard_;
  std::vector<Encoded> encoded_;
  std::vector<std::pair<uint64_t, std::string>> dropped_;
  std::vector<std::string> errors_;
};

class RecordingViewer : public ViewerListener {
 public:
  void on_data(bool init, std::vector<uint8_t> data) override {
    const std::lock_guard lock(mutex_);
    ++(init ? inits_ : fragments_);
    bytes_.insert(bytes_.end(), data.begin(), data.end());
    if (acknowledge) acknowledge(data.size());
    heard_.notify_all();
  }
  void on_end(const std::string& reason) override {
    const std::lock_guard lock(mutex_);
    end_ = reason;
    heard_.notify_all();
  }
  bool wait_fragments(size_t count) {
    std::unique_lock lock(mutex_);
    return heard_.wait_for(lock, std::chrono::seconds(10),
                           [this, count] { return fragments_ >= count; });
  }
  bool wait_end() {
    std::unique_lock lock(mutex_);
    return heard_.wait_for(lock, std::chrono::seconds(10), [this] { return !end_.empty(); });
  }
  std::vector<uint8_t> bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }
  std::string end() const {
    const std::lock_guard lock(mutex_);
    return end_;
  }
  size_t inits() const {
    const std::lock_guard lock(mutex_);
    return inits_;
  }

  std::function<void(size_t)> acknowledge;  // Set before the viewer is opened.

 private:
  mutable std::mutex mutex_;
  std::condition_variable heard_;
  std::vector<uint8_t> bytes_;
  std::string end_;
  size_t inits_ = 0;
  size_t fragments_ = 0;
};

inline OutputOptions output_options(const FrameFormat& format) {
  OutputOptions options;
  options.stream_id = "test";
  options.format = format;
  options.encode.bitrate_kbps = 1000;
  options.encode.preset = "ultrafast";
  options.encode.threads = 1;
  return options;
}

// Pushes, waiting while the queue is full.
inline void push_frame(Output& output, const FrameFormat& format, uint64_t seq, int64_t pts_ns,
                       const Overlay& overlay = {}) {
  const auto lease = std::make_shared<PaintedLease>(format, static_cast<uint8_t>(30 + seq % 150));
  while (output.push(lease, seq, pts_ns, overlay) == Output::Push::kFull)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

// A camera: frames at the format's rate on a thread of its own, while it lives.
class Camera {
 public:
  Camera(std::shared_ptr<Output> output, const FrameFormat& format)
      : thread_([output = std::move(output), format](const std::stop_token& stop) {
          const auto step = std::chrono::nanoseconds(1'000'000'000 / format.frame_rate_numerator);
          auto due = std::chrono::steady_clock::now();
          for (uint64_t seq = 0; !stop.stop_requested(); ++seq) {
            const auto lease =
                std::make_shared<PaintedLease>(format, static_cast<uint8_t>(30 + seq % 150));
            output->push(lease, seq, step.count() * static_cast<int64_t>(seq), {});
            due += step;
            std::this_thread::sleep_until(due);
          }
        }) {}

 private:
  std::jthread thread_;
};

}  // namespace framebus::test
