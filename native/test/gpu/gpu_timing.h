// How long something takes on a GPU, seen from the CPU.
#pragma once

#include <functional>

#include "core/monotonic.h"

namespace framebus::test {

// The mean of many, after some to warm up.
inline double each_us(int rounds, const std::function<void()>& work) {
  for (int i = 0; i < rounds / 10 + 1; ++i) work();
  const auto start = monotonic_ns();
  for (int i = 0; i < rounds; ++i) work();
  return static_cast<double>(monotonic_ns() - start) / 1e3 / rounds;
}

}  // namespace framebus::test
