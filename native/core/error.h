// The one exception type of core: a code for programs, a message for people.
#pragma once

#include <stdexcept>
#include <string>

namespace framebus {

// The message names the object, the cause and, where there is one, the remedy.
// The code reaches JavaScript as `error.code`; it is a literal such as "BUS_IN_USE".
class Error : public std::runtime_error {
 public:
  Error(const char* code, const std::string& message) : std::runtime_error(message), code_(code) {}
  const char* code() const noexcept { return code_; }

 private:
  const char* code_;  // Borrowed: a string literal.
};

}  // namespace framebus
