#include "process_census.h"

#include <dirent.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <memory>

namespace framebus::test {
namespace {

constexpr char kPools[] = "/memfd:framebus-pool-";
constexpr char kLanes[] = "/memfd:framebus-lane-";

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()), &::closedir);
  if (open == nullptr) return names;
  while (const dirent* entry = ::readdir(open.get())) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  return names;
}

std::string link_of(const std::string& path) {
  std::array<char, 256> target{};
  const ssize_t bytes = ::readlink(path.c_str(), target.data(), target.size());
  return bytes < 0 ? "" : std::string(target.data(), static_cast<size_t>(bytes));
}

std::string proc(pid_t pid) { return "/proc/" + (pid == 0 ? "self" : std::to_string(pid)); }

bool is_bus_memory(const std::string& text, const std::string& name) {
  return text.find(kPools + name) != std::string::npos ||
         text.find(kLanes + name) != std::string::npos;
}

}  // namespace

FdCensus census_of_fds(pid_t pid) {
  FdCensus census;
  const std::string folder = proc(pid) + "/fd";
  for (const std::string& name : names_in(folder)) {
    // Standard streams may be anything, also sockets.
    if (std::atoi(name.c_str()) <= STDERR_FILENO) continue;
    const std::string target = link_of(folder + "/" + name);
    if (target.empty() || target.starts_with("/proc/")) continue;  // That is our reading it.
    if (target.starts_with("socket:")) {
      census.sockets.push_back(std::atoi(name.c_str()));
    } else if (is_bus_memory(target, "")) {
      ++census.memfds;
    } else {
      ++census.others;
    }
  }
  return census;
}

MapCensus census_of_maps(pid_t pid, const std::string& name) {
  MapCensus census;
  std::ifstream maps(proc(pid) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    if (!is_bus_memory(line, name)) continue;
    // Address, permissions, offset, device, inode, path.
    size_t at = 0;
    for (int field = 0; field < 4; ++field) at = line.find(' ', at) + 1;
    const uint64_t inode = std::strtoull(line.c_str() + at, nullptr, 10);
    const bool pool = line.find(kPools + name) != std::string::npos;
    (pool ? census.pools : census.lanes).insert(inode);
  }
  return census;
}

std::vector<pid_t> holders_of(const std::string& name) {
  std::vector<pid_t> holders;
  for (const std::string& entry : names_in("/proc")) {
    if (std::isdigit(static_cast<unsigned char>(entry[0])) == 0) continue;
    const pid_t pid = std::atoi(entry.c_str());
    const MapCensus maps = census_of_maps(pid, name);
    bool holds = !maps.pools.empty() || !maps.lanes.empty();
    const std::string folder = proc(pid) + "/fd";
    for (const std::string& fd : names_in(folder)) {
      holds = holds || is_bus_memory(link_of(folder + "/" + fd), name);
    }
    if (holds) holders.push_back(pid);
  }
  return holders;
}

}  // namespace framebus::test
