// Reading a leased frame with the CPU, whatever memory it lies in.
#pragma once

#include <memory>
#include <utility>

#include "frame_view.h"

namespace framebus {

// The view is good for as long as this object and the lease live: it shows the
// mapping itself (shm), the mapping between the kernel's begin and end of CPU
// access (dmabuf), or a copy in host memory (cuda).
class FrameRead {
 public:
  explicit FrameRead(const FrameView& view) : view_(view) {}
  // `access`: whatever must live as long; dropped at the end.
  FrameRead(const FrameView& view, std::shared_ptr<void> access)
      : view_(view), access_(std::move(access)) {}

  const FrameView& view() const { return view_; }

 private:
  FrameView view_;
  std::shared_ptr<void> access_;
};

}  // namespace framebus
