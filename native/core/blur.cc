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

// Where between two parts' centres a sample lies: the first one, and how far from it, of 256.
struct Between {
  size_t first = 0;
  size_t second = 0;
  int32_t weight = 0;
};

Between between(int32_t sample, int32_t length, int32_t parts) {
  const double at = (sample + 0.5) * parts / length - 0.5;
  const int32_t first = std::clamp(static_cast<int32_t>(std::floor(at)), 0, parts - 1);
  return {.first = static_cast<size_t>(first),
          .second = static_cast<size_t>(std::min(first + 1, parts - 1)),
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
        for (int32_t x = left; x < right; ++x) sum += row[samples.step * x];
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
  std::vector<Between> across;
  across.reserve(static_cast<size_t>(width));
  for (int32_t x = 0; x < width; ++x) across.push_back(between(x, width, grid.columns));
  for (int32_t y = 0; y < height; ++y) {
    const Between down = between(y, height, grid.rows);
    Line line{};
    for (size_t i = 0; i < line.size(); ++i) {
      line[i] = means[down.first][i] * (256 - down.weight) + means[down.second][i] * down.weight;
    }
    uint8_t* const out = samples.row(samples.area.top + y);
    for (int32_t x = 0; x < width; ++x) {
      const Between& at = across[static_cast<size_t>(x)];
      const int32_t sum = line[at.first] * (256 - at.weight) + line[at.second] * at.weight;
      out[samples.step * x] = static_cast<uint8_t>((sum + 32768) >> 16);
    }
  }
}

}  // namespace framebus
