// A CUDA driver for tests: the machine's own where there is a GPU, else the
// fake one that is built beside them; and other processes that use it.
#pragma once

#include <dlfcn.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bus_rig.h"
#include "check.h"
#include "core/cuda_device.h"
#include "core/error.h"
#include "core/unique_fd.h"

extern "C" char** environ;

namespace framebus::test {

// FRAMEBUS_TEST_CUDA: real, fake or none; unset takes what there is.
enum class Gpu { kReal, kFake, kNone };

// Before the first CUDA call of the process: what is loaded under this name first
// is what dlopen() of it finds.
inline Gpu load_gpu() {
  const char* const asked = std::getenv("FRAMEBUS_TEST_CUDA");
  const std::string wanted = asked != nullptr ? asked : "";
  if (wanted == "none") return Gpu::kNone;
  if (wanted != "fake") {
    try {
      cuda::driver();
      ::setenv("FRAMEBUS_TEST_CUDA", "real", 1);
      return Gpu::kReal;
    } catch (const Error& error) {
      if (wanted == "real") throw;
      std::printf("# skipped on a real GPU: no NVIDIA driver (%s)\n", error.code());
    }
  }
  ::setenv("FRAMEBUS_TEST_CUDA", "fake", 1);
  if (dlopen(FRAMEBUS_FAKE_LIBCUDA, RTLD_NOW | RTLD_GLOBAL) == nullptr)
    throw std::runtime_error(dlerror());
  return Gpu::kFake;
}

// What the fake driver has not been given back; nothing is known of the real one.
struct Live {
  unsigned handles = 0;
  unsigned ranges = 0;
  unsigned streams = 0;
  unsigned contexts = 0;
  bool operator==(const Live&) const = default;
};
inline Live live() {
  Live found;
  using Ask = void (*)(unsigned*, unsigned*, unsigned*, unsigned*);
  const auto ask = reinterpret_cast<Ask>(dlsym(RTLD_DEFAULT, "fake_cuda_live"));
  if (ask != nullptr) ask(&found.handles, &found.ranges, &found.streams, &found.contexts);
  return found;
}

// Memory of the first GPU that is in use, by whomever.
inline size_t gpu_used() {
  const auto device = cuda::CudaDevice::first();
  const cuda::CurrentContext current(device->context());
  size_t available = 0;
  size_t total = 0;
  cuda::check(cuda::driver().memory_info(&available, &total), "test", "cuMemGetInfo");
  return total - available;
}

// This program again, in a process of its own (CUDA does not survive a fork).
class Again {
 public:
  explicit Again(std::vector<std::string> arguments,
                 const std::vector<std::string>& settings = {}) {
    std::array<int, 2> out{};
    std::array<int, 2> in{};
    CHECK(::pipe(out.data()) == 0 && ::pipe(in.data()) == 0);
    out_ = UniqueFd(out[0]);
    in_ = UniqueFd(in[1]);
    arguments.insert(arguments.begin(), "/proc/self/exe");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::vector<std::string> set = settings;
    std::vector<char*> env;
    for (std::string& each : set) env.push_back(each.data());
    for (char** each = environ; *each != nullptr; ++each) env.push_back(*each);
    env.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    for (const int fd : {in[0], in[1], out[0], out[1]})
      posix_spawn_file_actions_addclose(&actions, fd);
    const int failed =
        ::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, argv.data(), env.data());
    posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    CHECK(failed == 0);
  }
  ~Again() {
    if (pid_ > 0) {
      kill();
      wait();
    }
  }
  Again(const Again&) = delete;
  Again& operator=(const Again&) = delete;

  // Its next line; empty when it has ended.
  std::string line() const {
    std::string text;
    char letter = 0;
    while (::read(out_.get(), &letter, 1) == 1 && letter != '\n') text += letter;
    return text;
  }
  // Lets it go on: it waits in go_on().
  void go() const { CHECK(::write(in_.get(), "g", 1) == 1); }
  void kill() const { ::kill(pid_, SIGKILL); }
  // Its exit code; 128 + signal when it was killed.
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
  UniqueFd out_;
  UniqueFd in_;
};

// In the other process: says something, waits for go().
inline void say(const std::string& text) {
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
}
inline void go_on() {
  char letter = 0;
  if (::read(0, &letter, 1) != 1) std::_Exit(3);
}

// A frame in host memory whose samples follow from `seed`.
class Picture {
 public:
  Picture(const FrameFormat& format, uint8_t seed) : layout_(tight_layout(format)) {
    bytes_.resize(layout_.slot_bytes);
    view_.format = format;
    for (uint32_t plane = 0; plane < plane_count(format.pixel_format); ++plane) {
      view_.data[plane] = bytes_.data() + layout_.offset[plane];
      view_.stride[plane] = layout_.stride[plane];
      for (uint32_t y = 0; y < plane_rows(format, plane); ++y) {
        uint8_t* const row = bytes_.data() + layout_.offset[plane] + y * layout_.stride[plane];
        for (uint32_t x = 0; x < plane_row_bytes(format, plane); ++x)
          row[x] = static_cast<uint8_t>(x * 7 + y * 13 + plane * 101 + seed);
      }
    }
  }
  const FrameView& view() const { return view_; }

 private:
  PlaneLayout layout_;
  std::vector<uint8_t> bytes_;
  FrameView view_;
};

inline bool same(const FrameView& a, const FrameView& b) {
  if (!(a.format == b.format)) return false;
  for (uint32_t plane = 0; plane < plane_count(a.format.pixel_format); ++plane) {
    for (uint32_t y = 0; y < plane_rows(a.format, plane); ++y) {
      if (std::memcmp(a.data[plane] + y * a.stride[plane], b.data[plane] + y * b.stride[plane],
                      plane_row_bytes(a.format, plane)) != 0) {
        return false;
      }
    }
  }
  return true;
}

inline FramePoolOptions gpu_pool_options(MemoryKind kind = MemoryKind::kCuda, uint32_t slots = 4) {
  FramePoolOptions options;
  options.stream_id = "gate";
  options.format.width = 322;
  options.format.height = 181;
  options.format.pixel_format = PixelFormat::kNv12;
  options.layout = tight_layout(options.format);
  options.memory = kind;
  options.slots = slots;
  options.groups = {"infer"};
  return options;
}

// Writes and publishes a picture; its generation.
inline uint64_t publish(FramePool& pool, uint32_t slot, uint8_t seed) {
  const FramePoolOptions& options = pool.options();
  pool.memory().write(slot, Picture(options.format, seed).view(), options.layout);
  return pool.publish(slot);
}

}  // namespace framebus::test
