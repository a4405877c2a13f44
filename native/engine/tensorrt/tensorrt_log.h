// What TensorRT says: the only place where it gives its reasons.
#pragma once

#include <NvInfer.h>

#include <cstdint>
#include <string>

namespace framebus::tensorrt {

// The process's logger. TensorRT keeps it for longer than any of its objects, so it
// is never destroyed.
nvinfer1::ILogger& logger();

// Collects errors and warnings that this thread causes while it lives; errors first
// if there are many. Not nested.
class CapturedLog {
 public:
  CapturedLog();
  ~CapturedLog();
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;

  void add(bool is_error, const char* message);
  // "cause; cause", or `otherwise` when it said nothing.
  std::string text(const char* otherwise) const;

 private:
  std::string errors_;
  std::string warnings_;
};

// The status that a refusal of TensorRT means, by its words: FB_WRONG_VERSION,
// FB_WRONG_DEVICE, FB_DAMAGED, FB_NO_MEMORY, else FB_FAILED.
int32_t status_of(const std::string& text);

}  // namespace framebus::tensorrt
