// What a process has open and mapped, as the kernel says.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace framebus::test {

struct FdCensus {
  std::vector<int> sockets;
  uint32_t memfds = 0;  // Of the bus.
  uint32_t others = 0;
};
// 0: this process.
FdCensus census_of_fds(pid_t pid);

// Mappings of pools and of lanes whose names start so, by inode.
struct MapCensus {
  std::multiset<uint64_t> pools;
  std::multiset<uint64_t> lanes;
};
MapCensus census_of_maps(pid_t pid, const std::string& name);

// Processes, this one included, that have memory of that name open or mapped.
std::vector<pid_t> holders_of(const std::string& name);

}  // namespace framebus::test
