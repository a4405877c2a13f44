// How much memory this process may still take before the kernel kills it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace framebus {

struct MemoryRoom {
  uint64_t bytes = 0;
  std::string limit;  // What limits it, for messages.
};

// The tightest of the machine's available memory and the limits of the process's
// control groups (cgroup v1 and v2); nothing when none of them can be read.
// Page cache that the kernel would give up for us counts as room. `root`: where
// /proc and /sys are, for tests.
std::optional<MemoryRoom> memory_room(const std::string& root = "");

// Shared memory beyond a control group's limit is not refused: the kernel kills
// somebody instead. So whoever allocates much asks before. Throws NO_SPACE with
// the numbers; `what` begins the message.
void require_memory(const std::string& what, uint64_t bytes);

}  // namespace framebus
