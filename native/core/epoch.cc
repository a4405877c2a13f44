#include "epoch.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>

#include "bus_layout.h"

namespace framebus {

std::string random_epoch() {
  std::array<unsigned char, kEpochDigits / 2> bytes{};
  size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got = ::getrandom(bytes.data() + filled, bytes.size() - filled, 0);
    if (got > 0) filled += static_cast<size_t>(got);
  }
  constexpr char kDigits[] = "0123456789abcdef";
  std::string epoch;
  for (const unsigned char byte : bytes) {
    epoch += kDigits[byte >> 4];
    epoch += kDigits[byte & 15];
  }
  return epoch;
}

uint64_t next_created_unix_ns() {
  static std::atomic<uint64_t> last{0};
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  const auto now =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
  uint64_t before = last.load();
  uint64_t created = 0;
  do {
    created = std::max(now, before + 1);
  } while (!last.compare_exchange_weak(before, created));
  return created;
}

}  // namespace framebus
