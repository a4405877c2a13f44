// The run-time compiler and the cache of what it has compiled; with NVIDIA's own library,
// where there is one (it needs no GPU), and with the fake one.
#include "core/nvrtc.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include "bus_rig.h"
#include "core/cuda_kernel_cache.h"
#include "cuda_preprocess_source.h"
#include "error_code.h"
#include "nvrtc_kit.h"

using namespace framebus;
using namespace framebus::cuda;
using namespace framebus::test;

namespace {

// NVIDIA's, looked for before the fake one has its name.
std::optional<Nvrtc> real;

constexpr const char* kFine = "extern \"C\" __global__ void one(FB_ARGUMENT int a) {}";

KernelKey key_of(const std::string& source = kFine, int capability = 90) {
  return {.name = "one", .source = source, .capability = capability, .compiler = {13, 0}};
}

std::string content(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void put(const std::string& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

}  // namespace

TEST("NVIDIA's compiler compiles the kernel for every GPU that it knows") {
  if (!real) return;
  for (const int capability : {75, 80, 86, 87, 89, 90, 100, 120}) {
    const std::string code = real->compile(kCudaPreprocessSource, "kernel.cu", capability);
    CHECK(
        code.starts_with("\x7f"
                         "ELF"));
  }
  // Newer than it knows: for its newest, and the driver compiles on.
  const std::string portable = real->compile(kCudaPreprocessSource, "kernel.cu", 990);
  CHECK(portable.find(".entry framebus_preprocess") != std::string::npos);
  // The batch stays among the arguments: a copy in each thread's own memory would be slow.
  CHECK(portable.find(".local") == std::string::npos);
}

TEST("NVIDIA's compiler says what is wrong with a source") {
  if (!real) return;
  std::string message;
  CHECK(code_of([] { real->compile("int a = ;", "wrong.cu", 90); }, &message) == "CUDA_COMPILE");
  CHECK(message.find("wrong.cu(1): error") != std::string::npos);
}

TEST("code for a GPU, or portable code for a newer one") {
  const Nvrtc nvrtc(FRAMEBUS_FAKE_LIBNVRTC);
  CHECK(nvrtc.version().major == 13 && nvrtc.version().minor == 7);
  CHECK(nvrtc.path().find("libnvrtc.so.13") != std::string::npos);
  CHECK(nvrtc.compile(kFine, "one.cu", 90).starts_with("FAKE CUBIN sm_90\none\n"));
  CHECK(nvrtc.compile(kFine, "one.cu", 89).starts_with("FAKE PTX compute_80\n"));
  const Setting old("FRAMEBUS_FAKE_NVRTC", "old-gpus");
  CHECK(nvrtc.compile(kFine, "one.cu", 90).starts_with("FAKE PTX compute_80\n"));
}

TEST("a GPU that is too old for the compiler") {
  const Nvrtc nvrtc(FRAMEBUS_FAKE_LIBNVRTC);
  const Setting modern("FRAMEBUS_FAKE_NVRTC", "new-gpus");
  std::string message;
  CHECK(code_of([&] { nvrtc.compile(kFine, "one.cu", 90); }, &message) == "CUDA_COMPILE");
  CHECK(message.find("compute capability 9.0; name an older libnvrtc") != std::string::npos);
}

TEST("what the compiler says is in the error, and nothing is left") {
  const Nvrtc nvrtc(FRAMEBUS_FAKE_LIBNVRTC);
  const Setting broken("FRAMEBUS_FAKE_NVRTC", "fails");
  std::string message;
  CHECK(code_of([&] { nvrtc.compile(kFine, "one.cu", 90); }, &message) == "CUDA_COMPILE");
  CHECK(
      message ==
      "one.cu for sm_90: NVRTC_ERROR_COMPILATION:\none.cu(1): error: nothing that can be compiled");
  const auto counts = nvrtc_counts();
  CHECK(counts.compilations > 0 && counts.programs == 0);
}

TEST("no library, or one that is something else") {
  std::string message;
  CHECK(code_of([] { Nvrtc("/nonexistent/libnvrtc.so.13"); }, &message) == "NVRTC_UNAVAILABLE");
  CHECK(message.find("/nonexistent/libnvrtc.so.13: cannot open") != std::string::npos);
  CHECK(message.find("FRAMEBUS_NVRTC") != std::string::npos);
  CHECK(code_of([] { Nvrtc("libm.so.6"); }, &message) == "NVRTC_UNAVAILABLE");
  CHECK(message.find("it has no nvrtcVersion") != std::string::npos);
}

TEST("where it is looked for: not newer than the driver, toolkits before Python's packages") {
  const Directory folder;
  const std::string toolkit = folder.path() + "/toolkit";
  const std::string packages = folder.path() + "/venv/lib/python3.12/site-packages/nvidia";
  for (const std::string& each : {toolkit + "/lib64", packages + "/cuda_nvrtc/lib",
                                  packages + "/cu13/lib", packages + "/cublas/lib"}) {
    std::filesystem::create_directories(each);
    for (const char* const name : {"12", "13", "14"}) put(each + "/libnvrtc.so." + name, "");
  }
  const Setting cuda("CUDA_HOME", toolkit);
  const Setting venv("VIRTUAL_ENV", folder.path() + "/venv");
  std::vector<std::string> found = nvrtc_candidates(13);
  std::erase_if(found, [&](const std::string& each) {
    return each.starts_with("/") && !each.starts_with(folder.path());
  });
  const std::vector<std::string> wanted{"libnvrtc.so.13",
                                        toolkit + "/lib64/libnvrtc.so.13",
                                        packages + "/cuda_nvrtc/lib/libnvrtc.so.13",
                                        packages + "/cu13/lib/libnvrtc.so.13",
                                        "libnvrtc.so.12",
                                        toolkit + "/lib64/libnvrtc.so.12",
                                        packages + "/cuda_nvrtc/lib/libnvrtc.so.12",
                                        packages + "/cu13/lib/libnvrtc.so.12",
                                        "libnvrtc.so.11.2"};
  CHECK(found == wanted);
  const Setting only("FRAMEBUS_NVRTC", "/opt/my/libnvrtc.so");
  CHECK(nvrtc_candidates(13) == std::vector<std::string>{"/opt/my/libnvrtc.so"});
  std::filesystem::remove_all(toolkit);
  std::filesystem::remove_all(folder.path() + "/venv");
}

TEST("a kernel is kept, for exactly its source, GPU and compiler") {
  const Directory folder;
  const KernelCache cache(folder.path() + "/a/b");
  const std::string code("code\0with zeros", 15);
  CHECK(!cache.load(key_of()));
  CHECK(cache.store(key_of(), code));
  CHECK(cache.load(key_of()) == code);
  CHECK(!cache.load(key_of("another source")));
  CHECK(!cache.load(key_of(kFine, 89)));
  KernelKey newer = key_of();
  newer.compiler.minor = 1;
  CHECK(!cache.load(newer));
  CHECK(cache.store(key_of(), "other code") && cache.load(key_of()) == "other code");
  // Nothing but the entry: what was written beside it has its name.
  const auto all = std::filesystem::directory_iterator(cache.folder());
  CHECK(std::distance(begin(all), end(all)) == 1);
  std::filesystem::remove_all(folder.path() + "/a");
}

TEST("a damaged entry is none") {
  const Directory folder;
  const KernelCache cache(folder.path());
  CHECK(cache.store(key_of(), "some code"));
  const std::string file = cache.file(key_of());
  const std::string whole = content(file);
  for (size_t length = 0; length < whole.size(); ++length) {
    put(file, whole.substr(0, length));
    CHECK(!cache.load(key_of()));
  }
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    put(file, damaged);
    CHECK(!cache.load(key_of()));
  }
  put(file, whole);
  CHECK(cache.load(key_of()) == "some code");
}

TEST("an entry that others can write, or a link, is not trusted") {
  const Directory folder;
  const KernelCache cache(folder.path());
  CHECK(cache.store(key_of(), "some code"));
  const std::string file = cache.file(key_of());
  CHECK(::chmod(file.c_str(), 0666) == 0);
  CHECK(!cache.load(key_of()));
  CHECK(::chmod(file.c_str(), 0600) == 0);
  std::filesystem::rename(file, folder.path() + "/elsewhere");
  std::filesystem::create_symlink(folder.path() + "/elsewhere", file);
  CHECK(!cache.load(key_of()));
}

TEST("without a folder nothing is kept, and that is no error") {
  const KernelCache none("");
  CHECK(!none.store(key_of(), "code") && !none.load(key_of()));
  const KernelCache impossible("/proc/nowhere");
  CHECK(!impossible.store(key_of(), "code") && !impossible.load(key_of()));
}

TEST("the user's folder") {
  const Setting home("HOME", "/home/somebody");
  const Setting xdg("XDG_CACHE_HOME", "");
  {
    const Setting own("FRAMEBUS_CACHE", "");
    CHECK(KernelCache::of_user().folder() == "/home/somebody/.cache/framebus/kernels");
    const Setting cache("XDG_CACHE_HOME", "/cache");
    CHECK(KernelCache::of_user().folder() == "/cache/framebus/kernels");
  }
  const Setting own("FRAMEBUS_CACHE", "/own");
  CHECK(KernelCache::of_user().folder() == "/own/kernels");
}

int main() {
  for (const std::string& candidate : nvrtc_candidates(13)) {
    if (code_of([&] { real.emplace(candidate); }).empty()) break;
  }
  if (!real) std::printf("# skipped with NVIDIA's compiler: no libnvrtc on this machine\n");
  ::unsetenv("FRAMEBUS_NVRTC");  // Of whoever runs this; the rest is about the fake one.
  return run_all();
}
