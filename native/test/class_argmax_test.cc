// The best channel of each cell, against a plain loop.
#include "core/class_argmax.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <limits>
#include <random>
#include <vector>

#include "check.h"

namespace {

using namespace framebus;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinite = std::numeric_limits<float>::infinity();

// Where channel `c` of cell `i` lies.
size_t index_of(const ClassScores& scores, uint32_t c, size_t i) {
  return scores.channels_last ? i * scores.channels + c : c * scores.cells + i;
}

uint32_t plain(const ClassScores& scores, size_t cell) {
  uint32_t best = 0;
  float most = -kInfinite;
  for (uint32_t c = 0; c < scores.channels; ++c) {
    const float score = scores.data[index_of(scores, c, cell)];
    if (std::isnan(score) || score <= most) continue;
    most = score;
    best = c;
  }
  return best;
}

template <class Index>
void compare(const ClassScores& scores) {
  constexpr Index kPadding = 0x5A;
  std::vector<Index> into(scores.cells + 3, kPadding);
  class_argmax(scores, into.data());
  for (size_t i = 0; i < scores.cells; ++i) CHECK(into[i] == plain(scores, i));
  for (size_t i = scores.cells; i < into.size(); ++i) CHECK(into[i] == kPadding);
}

TEST("any number of channels and cells, both layouts, with ties, NaN and infinities") {
  std::mt19937 random(5);
  for (int round = 0; round < 400; ++round) {
    const uint32_t channels = 1 + static_cast<uint32_t>(random() % (round % 10 == 0 ? 300 : 30));
    const size_t cells = random() % (round % 7 == 0 ? 5000 : 200);
    std::vector<float> data(channels * cells);
    for (float& score : data) {
      const auto kind = random() % 20;
      // Whole numbers from 0 to 7, so that many are equal.
      score = kind == 0   ? kNan
              : kind == 1 ? kInfinite
              : kind == 2 ? -kInfinite
                          : static_cast<float>(random() % 8) - 4;
    }
    for (const bool channels_last : {false, true}) {
      const ClassScores scores{data.data(), channels, cells, channels_last};
      if (channels <= 256) compare<uint8_t>(scores);
      compare<uint16_t>(scores);
    }
  }
}

TEST("of equal channels the first; NaN never, wherever it stands") {
  const auto best = [](const std::vector<float>& data) {
    uint8_t into = 99;
    class_argmax({data.data(), static_cast<uint32_t>(data.size()), 1, true}, &into);
    return int{into};
  };
  CHECK(best({-1, 3, 3, 2}) == 1);
  CHECK(best({0, -0.0F}) == 0);
  CHECK(best({-0.0F, 0}) == 0);
  CHECK(best({kNan, 1, 2}) == 2);
  CHECK(best({1, kNan, 0}) == 0);
  CHECK(best({-5, -4, kNan}) == 1);
  CHECK(best({kNan, kNan, -1e30F}) == 2);
  CHECK(best({kNan, kNan}) == 0);
  CHECK(best({-kInfinite, -kInfinite}) == 0);
  CHECK(best({-kInfinite, kInfinite, kInfinite}) == 1);
}

TEST("more than 256 channels") {
  std::vector<float> data(70'000 * size_t{3}, 0);
  data[3 * 65'535 + 1] = 1;
  data[3 * 300 + 2] = 1;
  std::vector<uint16_t> into(3);
  class_argmax({data.data(), 65'536, 3, false}, into.data());
  CHECK((into == std::vector<uint16_t>{0, 65'535, 300}));
}

// CPU time of this thread, in microseconds.
double thread_cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

// For people; nothing is asserted of times.
TEST("how long it takes") {
  std::mt19937 random(6);
  std::vector<float> data(size_t{512} * 512 * 21);
  for (float& score : data) score = static_cast<float>(random() % 1000);
  std::vector<uint8_t> into(size_t{512} * 512);
  const auto measure = [&](const char* name, const ClassScores& scores) {
    double least_us = std::numeric_limits<double>::infinity();
    for (int i = 0; i < 20; ++i) {
      const double started_us = thread_cpu_us();
      class_argmax(scores, into.data());
      least_us = std::min(least_us, thread_cpu_us() - started_us);
    }
    std::printf("  %s: %.0f µs\n", name, least_us);
  };
  measure("19 channels first, 512 x 512", {data.data(), 19, size_t{512} * 512, false});
  measure("21 channels last, 257 x 257", {data.data(), 21, size_t{257} * 257, true});
  CHECK(into[0] < 21);
}

}  // namespace

int main() { return framebus::test::run_all(); }
