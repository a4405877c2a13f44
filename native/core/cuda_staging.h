// Host memory that the GPU copies into at full speed, used again and again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "cuda_device.h"

namespace framebus::cuda {

// Thread-safe. Buffers of one size, page-locked as far as that goes: there are only
// so many, and who asks for more gets plain memory.
class Staging : public std::enable_shared_from_this<Staging> {
 public:
  // Of at least `bytes`; owned.
  static std::shared_ptr<Staging> create(std::shared_ptr<const CudaDevice> device, size_t bytes);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // Goes back when its last owner drops it.
  std::shared_ptr<uint8_t> take();

 private:
  Staging(std::shared_ptr<const CudaDevice> device, size_t bytes);
  // Null when there are enough of them, or no memory for more.
  uint8_t* take_locked();
  void give_back(uint8_t* buffer);

  const std::shared_ptr<const CudaDevice> device_;
  const size_t bytes_;
  std::mutex mutex_;
  std::vector<uint8_t*> idle_;  // Owned.
  size_t made_ = 0;
};

}  // namespace framebus::cuda
