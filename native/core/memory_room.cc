#include "memory_room.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "error.h"

namespace framebus {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMiB = uint64_t{1} << 20;
// cgroup v1 says "no limit" with the largest multiple of a page.
constexpr uint64_t kNoLimit = uint64_t{1} << 62;

std::optional<uint64_t> read_number(const fs::path& file) {
  std::ifstream stream(file);
  uint64_t value = 0;
  if (!(stream >> value)) return std::nullopt;  // "max", too.
  return value;
}

// The value of "key value" or "key: value kB" lines.
std::optional<uint64_t> read_entry(const fs::path& file, const std::string& key) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    std::string name;
    uint64_t value = 0;
    if (words >> name >> value && name == key) return value;
  }
  return std::nullopt;
}

struct GroupFiles {
  const char* limit;
  const char* usage;
  const char* inactive;  // Key in memory.stat.
};
constexpr GroupFiles kV1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
constexpr GroupFiles kV2{"memory.max", "memory.current", "inactive_file"};

void tighten(std::optional<MemoryRoom>& room, uint64_t bytes, const std::string& limit) {
  if (!room || bytes < room->bytes) room = MemoryRoom{bytes, limit};
}

void look_at_group(std::optional<MemoryRoom>& room, const fs::path& folder, const GroupFiles& files,
                   const std::string& name) {
  const std::optional<uint64_t> limit = read_number(folder / files.limit);
  const std::optional<uint64_t> usage = read_number(folder / files.usage);
  if (!limit || !usage || *limit >= kNoLimit) return;
  const uint64_t cache = read_entry(folder / "memory.stat", files.inactive).value_or(0);
  const uint64_t used = *usage > cache ? *usage - cache : 0;
  tighten(room, *limit > used ? *limit - used : 0,
          "control group " + name + " is limited to " + std::to_string(*limit / kMiB) + " MiB");
}

// A group and all above it; inside a container its own files lie at the mount itself.
void look_at_hierarchy(std::optional<MemoryRoom>& room, const fs::path& mount,
                       const std::string& group, const GroupFiles& files) {
  look_at_group(room, mount, files, "/");
  fs::path folder = mount;
  std::string name;
  for (const fs::path& part : fs::path(group).relative_path()) {
    folder /= part;
    name.append("/").append(part.string());
    look_at_group(room, folder, files, name);
  }
}

// Of a list such as "cpu,memory".
bool names_memory(const std::string& controllers) {
  std::istringstream list(controllers);
  for (std::string name; std::getline(list, name, ',');) {
    if (name == "memory") return true;
  }
  return false;
}

}  // namespace

std::optional<MemoryRoom> memory_room(const std::string& root) {
  std::optional<MemoryRoom> room;
  constexpr uint64_t kKiB = 1024;
  if (const auto available = read_entry(root + "/proc/meminfo", "MemAvailable:")) {
    tighten(room, *available * kKiB, "the machine has no more");
  }
  const fs::path mounts = root + "/sys/fs/cgroup";
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) look_at_hierarchy(room, mounts, group, kV2);
    if (names_memory(controllers)) look_at_hierarchy(room, mounts / "memory", group, kV1);
  }
  return room;
}

void require_memory(const std::string& what, uint64_t bytes) {
  const std::optional<MemoryRoom> room = memory_room();
  if (!room || bytes <= room->bytes) return;
  throw Error("NO_SPACE", what + ": cannot allocate " + std::to_string(bytes / kMiB) +
                              " MiB of shared memory: " + std::to_string(room->bytes / kMiB) +
                              " MiB are left; " + room->limit);
}

}  // namespace framebus
