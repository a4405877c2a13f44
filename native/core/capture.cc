#include "capture.h"

#include <utility>

namespace framebus {

bool Capture::settled() const {
  const std::lock_guard lock(mutex_);
  return settled_;
}

void Capture::settle(NumberedPicture picture) {
  const std::lock_guard lock(mutex_);
  if (settled_) return;
  settled_ = true;
  picture_ = std::move(picture);
  settled_changed_.notify_all();
}

NumberedPicture Capture::wait(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  settled_changed_.wait_for(lock, timeout, [this] { return settled_; });
  settled_ = true;  // What comes later is not kept.
  return std::move(picture_);
}

}  // namespace framebus
