#include "cuda_release.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace framebus {
namespace {

// Drops leases on a thread of its own: that may unmap CUDA memory, which a
// function that the driver calls must not do.
class LeaseReaper {
 public:
  static LeaseReaper& of_process() {
    // Never destroyed: the driver may call until the very end.
    static LeaseReaper& reaper = *std::make_unique<LeaseReaper>().release();
    return reaper;
  }

  LeaseReaper() : thread_([this] { run(); }) { thread_.detach(); }

  void drop(std::shared_ptr<Lease> lease) {
    {
      const std::lock_guard lock(mutex_);
      ended_.push_back(std::move(lease));
    }
    wake_.notify_one();
  }

 private:
  [[noreturn]] void run() {
    for (;;) {
      std::vector<std::shared_ptr<Lease>> now;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return !ended_.empty(); });
        now.swap(ended_);
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::shared_ptr<Lease>> ended_;
  std::thread thread_;  // Last: it uses the others.
};

void on_reached(void* data) {
  const std::unique_ptr<std::shared_ptr<Lease>> lease(static_cast<std::shared_ptr<Lease>*>(data));
  LeaseReaper::of_process().drop(std::move(*lease));
}

}  // namespace

void release_after(cuda::Stream stream, std::shared_ptr<Lease> lease) {
  LeaseReaper::of_process();  // Its thread is not started by the driver's.
  auto handed = std::make_unique<std::shared_ptr<Lease>>(std::move(lease));
  cuda::check(cuda::driver().launch_host(stream, &on_reached, handed.get()), "lease on a frame",
              "cuLaunchHostFunc");
  handed.release();  // on_reached owns it from here.
}

}  // namespace framebus
