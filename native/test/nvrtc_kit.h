// A run-time compiler for tests: with the fake driver the fake one, with a real GPU the
// machine's own.
#pragma once

#include <dlfcn.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "core/nvrtc.h"

namespace framebus::test {

// What is loaded under this name first is what dlopen() of it finds.
inline void load_fake_nvrtc() {
  if (dlopen(FRAMEBUS_FAKE_LIBNVRTC, RTLD_NOW | RTLD_GLOBAL) == nullptr)
    throw std::runtime_error(dlerror());
}

struct NvrtcCounts {
  unsigned programs = 0;  // Not destroyed.
  unsigned compilations = 0;
};
// Of the fake one; nothing is known of the real one.
inline NvrtcCounts nvrtc_counts() {
  NvrtcCounts counts;
  using Ask = void (*)(unsigned*, unsigned*);
  void* const fake = dlopen(FRAMEBUS_FAKE_LIBNVRTC, RTLD_NOW | RTLD_NOLOAD);
  if (fake == nullptr) return counts;
  const auto ask = reinterpret_cast<Ask>(dlsym(fake, "fake_nvrtc_counts"));
  if (ask != nullptr) ask(&counts.programs, &counts.compilations);
  return counts;
}

// An environment variable, for as long as this lives.
class Setting {
 public:
  Setting(const char* name, const std::string& value) : name_(name) {
    const char* const before = std::getenv(name);
    if (before != nullptr) before_ = before;
    had_ = before != nullptr;
    ::setenv(name, value.c_str(), 1);
  }
  ~Setting() {
    if (had_) {
      ::setenv(name_, before_.c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

 private:
  const char* const name_;
  bool had_ = false;
  std::string before_;
};

}  // namespace framebus::test
