// The simplest JSON: one object whose values are strings, numbers, true, false and null.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace framebus::tensorrt {

// Key -> value; strings without their quotes, all others as written. Throws
// std::invalid_argument, which says what is wrong where.
std::map<std::string, std::string, std::less<>> parse_flat_json(std::string_view text);

}  // namespace framebus::tensorrt
