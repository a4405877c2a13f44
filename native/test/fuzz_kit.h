// Deterministic fuzzing: numbers from a seed, and bytes changed by them.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include "core/pool_view.h"

namespace framebus::test {

// splitmix64: the same numbers everywhere for one seed.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t limit) { return next() % limit; }
  bool one_in(uint64_t n) { return below(n) == 0; }
  // Small, near a power of two, or anything.
  uint64_t value() {
    switch (below(4)) {
      case 0:
        return below(8);
      case 1:
        return (uint64_t{1} << below(64)) - 2 + below(4);
      case 2:
        return ~below(8);
      default:
        return next();
    }
  }

 private:
  uint64_t state_;
};

using Bytes = std::vector<char>;

template <class Message>
Bytes bytes_of(const Message& message) {
  Bytes bytes(sizeof(message));
  std::memcpy(bytes.data(), &message, sizeof(message));
  return bytes;
}

// Changes bits, bytes or aligned words; now and then the length, too.
inline void mutate(Random& random, Bytes& bytes) {
  const uint64_t changes = 1 + random.below(4);
  for (uint64_t i = 0; i < changes && !bytes.empty(); ++i) {
    const size_t at = random.below(bytes.size());
    switch (random.below(4)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8)));
        break;
      case 1:
        bytes[at] = static_cast<char>(random.next());
        break;
      default: {
        const size_t width = random.one_in(2) ? 4 : 8;
        const size_t start = at / width * width;
        if (start + width > bytes.size()) break;
        const uint64_t value = random.value();
        std::memcpy(bytes.data() + start, &value, width);
      }
    }
  }
  if (random.one_in(6)) bytes.resize(random.below(bytes.size() + 1));
  if (random.one_in(6)) bytes.resize(bytes.size() + random.below(600), 'x');
  if (random.one_in(100)) bytes.resize(60000, 'z');
}

// `<program> [times [seed]]`: so many times the usual rounds.
struct FuzzArguments {
  uint64_t times = 1;
  uint64_t seed = 20240229;
};

inline FuzzArguments& fuzz_arguments() {
  static FuzzArguments arguments;
  return arguments;
}

inline void parse_fuzz_arguments(int count, char** values) {
  if (count > 1) fuzz_arguments().times = std::strtoull(values[1], nullptr, 10);
  if (count > 2) fuzz_arguments().seed = std::strtoull(values[2], nullptr, 10);
}

// Every byte that a lease gives out can be read.
inline uint64_t touch(const SlotLease& lease) {
  const FrameRead read = lease.read();
  const FrameView& view = read.view();
  uint64_t sum = lease.valid() ? 1 : 0;
  for (uint32_t p = 0; p < plane_count(view.format.pixel_format); ++p) {
    for (uint32_t row = 0; row < plane_rows(view.format, p); ++row) {
      const uint8_t* const start = view.data[p] + uint64_t{row} * view.stride[p];
      sum += start[0] + start[plane_row_bytes(view.format, p) - 1];
    }
  }
  return sum;
}

}  // namespace framebus::test
