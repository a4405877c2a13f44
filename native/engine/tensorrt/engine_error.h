// What goes wrong inside the engine; the C boundary makes a status and a text of it.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace framebus::tensorrt {

class EngineError : public std::runtime_error {
 public:
  // `status`: FB_FAILED and so on.
  EngineError(int32_t status, const std::string& message)
      : std::runtime_error(message), status_(status) {}
  int32_t status() const noexcept { return status_; }

 private:
  int32_t status_;
};

}  // namespace framebus::tensorrt
