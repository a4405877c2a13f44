// Counts what is alive, so that closing can wait for it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace framebus {

// Thread-safe.
class Census {
 public:
  void born() {
    const std::lock_guard lock(mutex_);
    ++alive_;
  }
  void gone() {
    const std::lock_guard lock(mutex_);
    if (--alive_ == 0) empty_.notify_all();
  }
  // Waits until nothing is alive; false after the deadline.
  bool wait_empty(std::chrono::milliseconds deadline) {
    std::unique_lock lock(mutex_);
    return empty_.wait_for(lock, deadline, [this] { return alive_ == 0; });
  }
  uint32_t alive() const {
    const std::lock_guard lock(mutex_);
    return alive_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable empty_;
  uint32_t alive_ = 0;
};

}  // namespace framebus
