// The best channel of every cell of a model's output.
#pragma once

#include <cstddef>
#include <cstdint>

namespace framebus {

// How scores lie in memory.
struct ClassScores {
  const float* data = nullptr;  // Borrowed: channels x cells.
  uint32_t channels = 0;        // At least 1.
  size_t cells = 0;
  bool channels_last = false;  // Those of one cell side by side (NHWC), else those of one channel.
};

// Writes the channel with the greatest score of each cell; of equal ones the
// first. NaN is never the greatest; where a cell has nothing but NaN and -∞,
// its channel is 0. `into`: `cells` numbers, wide enough for `channels` - 1.
void class_argmax(const ClassScores& scores, uint8_t* into);
void class_argmax(const ClassScores& scores, uint16_t* into);

}  // namespace framebus
