// What tells one pool from another, for ever.
#pragma once

#include <cstdint>
#include <string>

namespace framebus {

// 32 random hexadecimal digits.
std::string random_epoch();
// Wall time, strictly increasing in a process.
uint64_t next_created_unix_ns();

}  // namespace framebus
