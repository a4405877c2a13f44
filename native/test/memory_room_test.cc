#include "core/memory_room.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "check.h"
#include "core/error.h"
#include "core/frame_pool.h"

namespace framebus {
namespace {

namespace fs = std::filesystem;

// A machine made of files.
class Machine {
 public:
  Machine() {
    char name[] = "/tmp/framebus-machine-XXXXXX";
    CHECK(::mkdtemp(name) != nullptr);
    root_ = name;
  }
  ~Machine() { fs::remove_all(root_); }
  void write(const std::string& path, const std::string& text) const {
    const fs::path file = root_ + path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::optional<MemoryRoom> room() const { return memory_room(root_); }

 private:
  std::string root_;
};

TEST("a machine that says nothing has no limit that we know of") { CHECK(!Machine().room()); }

TEST("the tightest limit counts: the machine's, or that of a control group above") {
  const Machine machine;
  machine.write("/proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    4096 kB\n");
  CHECK(machine.room()->bytes == 4096 * 1024);
  machine.write("/proc/self/cgroup", "0::/pod/app\n");
  machine.write("/sys/fs/cgroup/pod/memory.max", "3000000\n");
  machine.write("/sys/fs/cgroup/pod/memory.current", "1500000\n");
  machine.write("/sys/fs/cgroup/pod/memory.stat", "anon 1\ninactive_file 500000\n");
  machine.write("/sys/fs/cgroup/pod/app/memory.max", "max\n");
  machine.write("/sys/fs/cgroup/pod/app/memory.current", "7\n");
  CHECK(machine.room()->bytes == 2'000'000);
  CHECK(machine.room()->limit.find("/pod ") != std::string::npos);
  machine.write("/sys/fs/cgroup/pod/app/memory.max", "5\n");
  CHECK(machine.room()->bytes == 0);
}

TEST("control groups of version 1 count, too, and no limit is none") {
  const Machine machine;
  machine.write("/proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/box\n0::/\n");
  machine.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  machine.write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n");
  CHECK(!machine.room());
  machine.write("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "1000\n");
  machine.write("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "400\n");
  CHECK(machine.room()->bytes == 600);
}

// A control group of our own with a limit, where this user may make one.
class LimitedGroup {
 public:
  explicit LimitedGroup(uint64_t bytes) {
    for (const auto& [folder, limit] :
         {std::pair{"/sys/fs/cgroup/memory/framebus-test-", "memory.limit_in_bytes"},
          std::pair{"/sys/fs/cgroup/framebus-test-", "memory.max"}}) {
      const std::string path = folder + std::to_string(::getpid());
      if (::mkdir(path.c_str(), 0755) != 0) continue;
      std::ofstream file(path + "/" + limit);
      file << bytes << std::flush;
      if (file.good()) {
        path_ = path;
        return;
      }
      ::rmdir(path.c_str());
    }
  }
  ~LimitedGroup() {
    if (!path_.empty()) ::rmdir(path_.c_str());
  }
  bool made() const { return !path_.empty(); }
  void enter() const { std::ofstream(path_ + "/cgroup.procs") << ::getpid() << std::flush; }

 private:
  std::string path_;
};

// Code of the error that a pool of so many slots of 1080p ends in, "" for none.
std::string pool_error(uint32_t slots) {
  FramePoolOptions options;
  options.stream_id = "gate";
  options.format.width = 1920;
  options.format.height = 1080;
  options.layout = tight_layout(options.format);
  options.slots = slots;
  try {
    FramePool::create(options);
    return "";
  } catch (const Error& error) {
    std::fprintf(stderr, "  %s\n", error.what());
    return error.code();
  }
}

TEST("a pool that a control group has no room for is an error, and nobody is killed") {
  const LimitedGroup group(100 << 20);
  if (!group.made()) {
    std::printf("  skipped: no control group can be made here\n");
    return;
  }
  const pid_t child = ::fork();
  if (child == 0) {
    group.enter();
    const bool right = pool_error(64) == "NO_SPACE" && pool_error(8).empty();
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace framebus

int main() { return framebus::test::run_all(); }
