#include "cuda_staging.h"

#include <utility>

#include "error.h"

namespace framebus::cuda {

namespace {
// Some batches of frames; page-locked memory is dear, and JavaScript may be slow to
// collect what it was given.
constexpr size_t kMost = 16;
}  // namespace

std::shared_ptr<Staging> Staging::create(std::shared_ptr<const CudaDevice> device, size_t bytes) {
  return std::shared_ptr<Staging>(new Staging(std::move(device), bytes));
}

Staging::Staging(std::shared_ptr<const CudaDevice> device, size_t bytes)
    : device_(std::move(device)), bytes_(bytes) {}

Staging::~Staging() {
  try {
    const CurrentContext current(device_->context());
    for (uint8_t* const buffer : idle_) driver().host_free(buffer);
  } catch (const Error&) {
    // The context is lost, and its memory with it.
  }
}

uint8_t* Staging::take_locked() {
  const std::lock_guard lock(mutex_);
  if (!idle_.empty()) {
    uint8_t* const buffer = idle_.back();
    idle_.pop_back();
    return buffer;
  }
  if (made_ == kMost) return nullptr;
  const CurrentContext current(device_->context());
  void* made = nullptr;
  if (driver().host_alloc(&made, bytes_, 0) != kSuccess) return nullptr;
  ++made_;
  return static_cast<uint8_t*>(made);
}

std::shared_ptr<uint8_t> Staging::take() {
  if (uint8_t* const buffer = take_locked())
    return {buffer, [self = shared_from_this()](uint8_t* back) { self->give_back(back); }};
  const auto plain = std::make_shared<std::vector<uint8_t>>(bytes_);
  return {plain, plain->data()};
}

void Staging::give_back(uint8_t* buffer) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(buffer);
}

}  // namespace framebus::cuda
