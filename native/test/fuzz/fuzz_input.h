// The bytes of one libFuzzer run, read as decisions; and seeds for its corpus.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "../fuzz_kit.h"

namespace framebus::test {

// Gives zeros when it is used up.
class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t bytes) : data_(data), left_(bytes) {}

  bool empty() const { return left_ == 0; }
  uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  uint64_t number() {
    uint64_t number = 0;
    for (int i = 0; i < 8; ++i) number = number << 8 | byte();
    return number;
  }
  // One byte for what is likely, more for what is not.
  uint64_t value() {
    const uint8_t first = byte();
    if (first < 200) return first % 8;
    if (first < 225) return (uint64_t{1} << (byte() % 64)) - 2 + byte() % 4;
    if (first < 240) return ~uint64_t{byte()};
    return number();
  }
  bool one_in(uint8_t n) { return byte() % n == n - 1; }

  // Overwrites some of it: where and with what is in the input.
  void mutate(Bytes& bytes) {
    const uint8_t changes = byte() % 4;
    for (uint8_t i = 0; i < changes && !bytes.empty(); ++i) {
      const size_t at = (size_t{byte()} << 8 | byte()) % bytes.size();
      const size_t width = std::min<size_t>(size_t{1} << (byte() % 4), bytes.size() - at);
      const uint64_t with = value();
      std::memcpy(bytes.data() + at, &with, width);
    }
    if (one_in(16)) bytes.resize((size_t{byte()} << 8 | byte()) % 700);
  }

 private:
  const uint8_t* data_;  // Borrowed from libFuzzer.
  size_t left_;
};

// Files for a fresh corpus, all different, always the same.
inline void write_seeds(const std::string& folder, uint32_t count, size_t most_bytes) {
  for (uint32_t i = 0; i < count; ++i) {
    Random random(i + 1);
    std::string bytes(1 + random.below(most_bytes), '\0');
    // Small numbers are decisions that make sense.
    for (char& each : bytes) each = static_cast<char>(random.below(random.one_in(4) ? 256 : 16));
    std::ofstream(folder + "/seed-" + std::to_string(i), std::ios::binary) << bytes;
  }
}

// `FUZZER --make-seeds FOLDER` writes them and ends.
inline void make_seeds_if_asked(int count, char** values, uint32_t seeds, size_t most_bytes) {
  if (count != 3 || std::string(values[1]) != "--make-seeds") return;
  write_seeds(values[2], seeds, most_bytes);
  std::exit(0);
}

}  // namespace framebus::test

extern "C" int LLVMFuzzerInitialize(int* count, char*** values);
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes);
