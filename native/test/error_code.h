// The code of the error that an attempt ends with.
#pragma once

#include <functional>
#include <string>

#include "core/error.h"

namespace framebus::test {

// Empty when there was none. `message` gets the text.
inline std::string code_of(const std::function<void()>& attempt, std::string* message = nullptr) {
  try {
    attempt();
  } catch (const Error& error) {
    if (message != nullptr) *message = error.what();
    return error.code();
  }
  return "";
}

}  // namespace framebus::test
