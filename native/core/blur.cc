#include "blur.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace framebus {
namespace {

constexpr int32_t kMostParts = 4;
// Smaller parts would still show what is in them.
constexpr int32_t kLeastPart = 8;

int32_t parts_of(int32_t length) { return std::clamp(length / kLeastPart, 1, kMostParts); }

// Where between the centres of two parts a sample lies: the first one, and how far from it, of 256.
struct Between {
  size_t first = 0;
  int32_t weight = 0;
};

Between between(int32_t sample, int32_t length, int32_t parts) {
  const double at = (sample + 0.5) * parts / length - 0.5;
  const int32_t first = std::clamp(static_cast<int32_t>(std::floor(at)), 0, parts - 1);
  return {.first = static_cast<size_t>(first),
          .weight = static_cast<int32_t>(std::lround(std::clamp(at - first, 0.0, 1.0) * 256))};
}

using Line = std::array<int32_t, kMostParts>;
using Means = std::array<Line, kMostParts>;

Means means_of(const BlurSamples& samples, const BlurGrid& grid) {
  const int32_t width = samples.area.width();
  const int32_t height = samples.area.height();
  Means means{};
  for (int32_t j = 0; j < grid.rows; ++j) {
    const int32_t top = height * j / grid.rows;
    const int32_t bottom = height * (j + 1) / grid.rows;
    for (int32_t i = 0; i < grid.columns; ++i) {
      const int32_t left = width * i / grid.columns;
      const int32_t right = width * (i + 1) / grid.columns;
      int64_t sum = 0;
      for (int32_t y = top; y < bottom; ++y) {
        const uint8_t* row = samples.row(samples.area.top + y);
        uint32_t line = 0;
        for (int32_t x = left; x < right; ++x) line += row[samples.step * x];
        sum += line;
      }
      const int64_t count = int64_t{right - left} * (bottom - top);
      means[static_cast<size_t>(j)][static_cast<size_t>(i)] =
          static_cast<int32_t>((sum + count / 2) / count);
    }
  }
  return means;
}

}  // namespace

BlurGrid blur_grid(int32_t width, int32_t height) { return {parts_of(width), parts_of(height)}; }

void blur_samples(const BlurSamples& samples, const BlurGrid& grid) {
  const int32_t width = samples.area.width();
  const int32_t height = samples.area.height();
  const Means means = means_of(samples, grid);
  std::vector<int32_t> weights(static_cast<size_t>(width));
  // Samples before `ends[i]` lie between the centres of the parts i and i + 1, or before them.
  std::array<int32_t, kMostParts> ends{};
  for (int32_t x = 0; x < width; ++x) {
    const Between at = between(x, width, grid.columns);
    weights[static_cast<size_t>(x)] = at.weight;
    std::fill(ends.begin() + static_cast<ptrdiff_t>(at.first), ends.end(), x + 1);
  }
  for (int32_t y = 0; y < height; ++y) {
    const Between down = between(y, height, grid.rows);
    const Line& upper = means[down.first];
    const Line& lower = means[std::min(down.first + 1, static_cast<size_t>(grid.rows - 1))];
    uint8_t* const out = samples.row(samples.area.top + y);
    int32_t x = 0;
    for (size_t i = 0; i < static_cast<size_t>(grid.columns); ++i) {
      const size_t next = std::min(i + 1, static_cast<size_t>(grid.columns - 1));
      const int32_t left = upper[i] * (256 - down.weight) + lower[i] * down.weight;
      const int32_t right = upper[next] * (256 - down.weight) + lower[next] * down.weight;
      const int32_t* const weight = weights.data();
      for (; x < ends[i]; ++x) {
        const int32_t sum = left * (256 - weight[x]) + right * weight[x];
        out[samples.step * x] = static_cast<uint8_t>((sum + 32768) >> 16);
      }
    }
  }
}

}  // namespace framebus
