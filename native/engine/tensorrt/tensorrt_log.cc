#include "tensorrt_log.h"

#include <array>
#include <cctype>
#include <memory>
#include <string_view>

#include "engine/framebus_engine.h"

namespace framebus::tensorrt {
namespace {

constexpr size_t kMostBytes = 2000;

thread_local CapturedLog* capturing = nullptr;  // Borrowed.

class Logger : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* message) noexcept override {
    if (capturing == nullptr || message == nullptr || severity > Severity::kWARNING) return;
    capturing->add(severity <= Severity::kERROR, message);
  }
};

void append(std::string& to, const char* message) {
  if (to.size() >= kMostBytes) return;
  if (!to.empty()) to += "; ";
  to += std::string_view(message).substr(0, kMostBytes);
}

struct Words {
  int32_t status;
  const char* lower_case;
};
// From TensorRT 8 and 10; the first that is found counts.
constexpr std::array kWords{
    Words{FB_WRONG_DEVICE, "incompatible device"},
    Words{FB_WRONG_DEVICE, "expecting compute"},
    Words{FB_WRONG_VERSION, "not compatible with this version"},
    Words{FB_WRONG_VERSION, "kserialization_version"},
    Words{FB_WRONG_VERSION, "version tag does not match"},
    Words{FB_WRONG_VERSION, "expecting library version"},
    Words{FB_DAMAGED, "magic tag"},
    Words{FB_DAMAGED, "corrupt"},
    Words{FB_DAMAGED, "truncated"},
    Words{FB_DAMAGED, "size mismatch"},
    Words{FB_NO_MEMORY, "out of memory"},
    Words{FB_NO_MEMORY, "outofmemory"},
};

}  // namespace

nvinfer1::ILogger& logger() {
  static Logger& one = *std::make_unique<Logger>().release();
  return one;
}

CapturedLog::CapturedLog() { capturing = this; }
CapturedLog::~CapturedLog() { capturing = nullptr; }

void CapturedLog::add(bool is_error, const char* message) {
  append(is_error ? errors_ : warnings_, message);
}

std::string CapturedLog::text(const char* otherwise) const {
  if (!errors_.empty()) return errors_;
  return warnings_.empty() ? otherwise : warnings_;
}

int32_t status_of(const std::string& text) {
  std::string lower;
  lower.reserve(text.size());
  for (const char c : text) {
    lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  for (const Words& each : kWords) {
    if (lower.find(each.lower_case) != std::string::npos) return each.status;
  }
  return FB_FAILED;
}

}  // namespace framebus::tensorrt
