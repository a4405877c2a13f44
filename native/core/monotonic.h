// The clock of all durations.
#pragma once

#include <chrono>
#include <cstdint>

namespace framebus {

// CLOCK_MONOTONIC in nanoseconds, as `monotonicNs` of contract.ts.
inline int64_t monotonic_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace framebus
