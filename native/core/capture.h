// A picture of an output that somebody waits for.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

#include "gst_ptr.h"

namespace framebus {

// A picture and its number in the output; null when there is none.
struct NumberedPicture {
  GstPtr<GstBuffer> buffer;
  uint64_t seq = 0;
};

// Settled once, with a picture or without. Thread-safe.
class Capture {
 public:
  // drawn: as viewers see it; else without the drawing, but concealed.
  explicit Capture(bool drawn) : drawn_(drawn) {}

  bool drawn() const { return drawn_; }

  // Nobody waits any more.
  bool settled() const;
  // The first one counts.
  void settle(NumberedPicture picture);
  // Blocks. None after the timeout, too. Called once.
  NumberedPicture wait(std::chrono::milliseconds timeout);

 private:
  const bool drawn_;
  mutable std::mutex mutex_;
  std::condition_variable settled_changed_;
  NumberedPicture picture_;
  bool settled_ = false;
};

}  // namespace framebus
