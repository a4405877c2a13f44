#include "class_argmax.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

namespace framebus {
namespace {

#define FB_INLINE inline __attribute__((always_inline))

// Cells that are looked at together: what is known of them stays in the first
// cache, and every channel is read in pieces long enough to be fetched ahead.
constexpr size_t kTile = 1024;

// The best of each cell of a tile so far.
struct Tile {
  std::array<float, kTile> score;
  std::array<int32_t, kTile> channel;
};

FB_INLINE void begin(Tile& tile, size_t count) {
  std::fill_n(tile.score.data(), count, -std::numeric_limits<float>::infinity());
  std::fill_n(tile.channel.data(), count, 0);
}

// One channel of all cells, `stride` numbers apart. Comparisons with NaN are
// false: it is never taken.
FB_INLINE void take(Tile& tile, const float* scores, size_t stride, int32_t channel, size_t count) {
  float* const __restrict best = tile.score.data();
  int32_t* const __restrict channels = tile.channel.data();
  for (size_t i = 0; i < count; ++i) {
    const float score = scores[i * stride];
    // All bits, or none: without a branch, several cells are looked at at once.
    const int32_t more = -static_cast<int32_t>(score > best[i]);
    best[i] = std::bit_cast<float>((std::bit_cast<int32_t>(score) & more) |
                                   (std::bit_cast<int32_t>(best[i]) & ~more));
    channels[i] = (channel & more) | (channels[i] & ~more);
  }
}

template <class Index>
void argmax(const ClassScores& scores, Index* into) {
  const size_t channels = scores.channels;
  // Side by side, channels of many cells would not stay in the cache.
  const size_t step =
      scores.channels_last ? std::clamp(kTile * 4 / channels, size_t{16}, kTile) : kTile;
  Tile tile;
  for (size_t from = 0; from < scores.cells; from += step) {
    const size_t count = std::min(step, scores.cells - from);
    begin(tile, count);
    for (size_t channel = 0; channel < channels; ++channel) {
      const auto index = static_cast<int32_t>(channel);
      if (scores.channels_last) {
        take(tile, scores.data + from * channels + channel, channels, index, count);
      } else {
        take(tile, scores.data + channel * scores.cells + from, 1, index, count);
      }
    }
    for (size_t i = 0; i < count; ++i) into[from + i] = static_cast<Index>(tile.channel[i]);
  }
}

}  // namespace

void class_argmax(const ClassScores& scores, uint8_t* into) { argmax(scores, into); }
void class_argmax(const ClassScores& scores, uint16_t* into) { argmax(scores, into); }

}  // namespace framebus
