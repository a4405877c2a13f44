#include "nvrtc.h"

#include <dlfcn.h>
#include <glob.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "cuda_driver.h"
#include "error.h"

namespace framebus::cuda {
namespace {

// Environment variables.
constexpr const char* kOnly = "FRAMEBUS_NVRTC";
constexpr const char* kToolkit = "CUDA_HOME";
constexpr const char* kToolkitToo = "CUDA_PATH";
constexpr const char* kConda = "CONDA_PREFIX";
constexpr const char* kPython = "VIRTUAL_ENV";

constexpr int kOldestMajor = 11;  // Of 11.2, the first with these calls.
constexpr const char* kInstall =
    "install it (Debian: libnvrtc12 or newer from NVIDIA's repository; Python: pip install "
    "nvidia-cuda-nvrtc), or name the file in FRAMEBUS_NVRTC";

std::string setting(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::string file_name(int major) {
  return major == kOldestMajor ? "libnvrtc.so.11.2" : "libnvrtc.so." + std::to_string(major);
}

// Folders that match, the last (newest) first.
std::vector<std::string> matching(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> all;
  if (::glob(pattern.c_str(), GLOB_NOSORT | GLOB_BRACE, nullptr, &found) == 0)
    all.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  std::sort(all.rbegin(), all.rend());
  return all;
}

std::vector<std::string> library_folders() {
  std::vector<std::string> patterns;
  for (const std::string& toolkit :
       {setting(kToolkit), setting(kToolkitToo), std::string("/usr/local/cuda"),
        std::string("/usr/local/cuda-*")}) {
    if (toolkit.empty()) continue;
    for (const char* const below : {"/lib64", "/targets/*/lib"})
      patterns.push_back(toolkit + below);
  }
  if (const std::string conda = setting(kConda); !conda.empty()) patterns.push_back(conda + "/lib");
  std::vector<std::string> pythons{"/usr/local/lib", "/usr/lib"};
  if (const std::string home = setting("HOME"); !home.empty())
    pythons.insert(pythons.begin(), home + "/.local/lib");
  if (const std::string own = setting(kPython); !own.empty())
    pythons.insert(pythons.begin(), own + "/lib");
  for (const std::string& python : pythons)
    patterns.push_back(python + "/python3*/*-packages/nvidia/{cuda_nvrtc,cu[0-9]*}/lib");
  std::vector<std::string> folders;
  for (const std::string& pattern : patterns) {
    const std::vector<std::string> found = matching(pattern);
    folders.insert(folders.end(), found.begin(), found.end());
  }
  return folders;
}

// Python's packages have no run path: the compiler then finds its other half only when
// that is loaded already.
void load_builtins(const std::string& library) {
  const std::filesystem::path folder = std::filesystem::path(library).parent_path();
  if (folder.empty()) return;
  for (const std::string& file : matching((folder / "libnvrtc-builtins.so.*").string()))
    dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
}

std::string path_of(void* call) {
  Dl_info found{};
  return dladdr(call, &found) != 0 && found.dli_fname != nullptr ? found.dli_fname : "";
}

[[noreturn]] void unavailable(const std::string& why) {
  throw Error("NVRTC_UNAVAILABLE", "CUDA compiler (libnvrtc): " + why + "; " + kInstall);
}

template <class Function>
void find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
  if (function == nullptr) unavailable(std::string("it has no ") + name + ": older than CUDA 11.2");
}

}  // namespace

std::vector<std::string> nvrtc_candidates(int most_major) {
  if (const std::string only = setting(kOnly); !only.empty()) return {only};
  const std::vector<std::string> folders = library_folders();
  std::vector<std::string> all;
  for (int major = most_major; major >= kOldestMajor; --major) {
    all.push_back(file_name(major));
    for (const std::string& folder : folders) {
      const std::string file = folder + "/" + file_name(major);
      std::error_code ignored;
      if (std::filesystem::exists(file, ignored)) all.push_back(file);
    }
  }
  return all;
}

Nvrtc::Nvrtc(const std::string& library) {
  load_builtins(library);
  // Never closed: it keeps threads and registers handlers for the end of the process.
  void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* const why = dlerror();
    unavailable(why != nullptr ? why : library + " is not there");
  }
  find_calls(handle);
  path_ = path_of(reinterpret_cast<void*>(calls_.version));
  check(calls_.version(&version_.major, &version_.minor), path_, "nvrtcVersion");
}

void Nvrtc::find_calls(void* library) {
  find(library, "nvrtcVersion", calls_.version);
  find(library, "nvrtcGetNumSupportedArchs", calls_.architecture_count);
  find(library, "nvrtcGetSupportedArchs", calls_.architectures);
  find(library, "nvrtcGetErrorString", calls_.error_string);
  find(library, "nvrtcCreateProgram", calls_.create);
  find(library, "nvrtcDestroyProgram", calls_.destroy);
  find(library, "nvrtcCompileProgram", calls_.compile);
  find(library, "nvrtcGetProgramLogSize", calls_.log_bytes);
  find(library, "nvrtcGetProgramLog", calls_.log);
  find(library, "nvrtcGetCUBINSize", calls_.cubin_bytes);
  find(library, "nvrtcGetCUBIN", calls_.cubin);
  find(library, "nvrtcGetPTXSize", calls_.ptx_bytes);
  find(library, "nvrtcGetPTX", calls_.ptx);
}

const Nvrtc& Nvrtc::of_process() {
  static const Nvrtc loaded = [] {
    int cuda = 0;
    cuda::check(driver().driver_version(&cuda), "CUDA compiler", "cuDriverGetVersion");
    const int major = cuda / 1000;
    std::string last;
    for (const std::string& candidate : nvrtc_candidates(major)) {
      try {
        return Nvrtc(candidate);
      } catch (const Error& error) {
        last = error.what();
      }
    }
    if (!setting(kOnly).empty()) throw Error("NVRTC_UNAVAILABLE", last);
    unavailable("none of CUDA 11.2 to " + std::to_string(major) +
                ", which this driver knows, is on this machine");
  }();
  return loaded;
}

// A program of the compiler's, for as long as this lives.
class Nvrtc::OwnProgram {
 public:
  OwnProgram(const Nvrtc& nvrtc, const std::string& source, const std::string& name)
      : nvrtc_(nvrtc) {
    nvrtc_.check(nvrtc_.calls_.create(&program_, source.c_str(), name.c_str(), 0, nullptr, nullptr),
                 name, "nvrtcCreateProgram");
  }
  ~OwnProgram() { nvrtc_.calls_.destroy(&program_); }
  OwnProgram(const OwnProgram&) = delete;
  OwnProgram& operator=(const OwnProgram&) = delete;

  Program get() const { return program_; }
  // What one of its pairs of calls gives: how much there is, and the bytes.
  std::string text(Result (*bytes)(Program, size_t*), Result (*content)(Program, char*)) const {
    size_t size = 0;
    if (bytes(program_, &size) != 0 || size == 0) return {};
    std::string all(size, '\0');
    return content(program_, all.data()) == 0 ? all : std::string();
  }

 private:
  const Nvrtc& nvrtc_;
  Program program_ = nullptr;
};

void Nvrtc::check(Result result, const std::string& name, const char* call) const {
  if (result != 0)
    throw Error("CUDA_COMPILE", name + ": " + call + ": " + calls_.error_string(result));
}

std::string Nvrtc::target_for(int capability, const std::string& name) const {
  int count = 0;
  check(calls_.architecture_count(&count), name, "nvrtcGetNumSupportedArchs");
  std::vector<int> known(static_cast<size_t>(std::max(count, 0)));
  if (!known.empty()) check(calls_.architectures(known.data()), name, "nvrtcGetSupportedArchs");
  if (std::find(known.begin(), known.end(), capability) != known.end())
    return "sm_" + std::to_string(capability);
  int best = 0;
  for (const int each : known) {
    if (each < capability) best = std::max(best, each);
  }
  if (best == 0) {
    throw Error("CUDA_COMPILE",
                name + ": " + path_ + " knows no GPU as old as compute capability " +
                    std::to_string(capability / 10) + "." + std::to_string(capability % 10) +
                    "; name an older libnvrtc in FRAMEBUS_NVRTC");
  }
  return "compute_" + std::to_string(best);
}

std::string Nvrtc::compile(const std::string& source, const std::string& name,
                           int capability) const {
  const std::string target = target_for(capability, name);
  const OwnProgram program(*this, source, name);
  const std::string architecture = "--gpu-architecture=" + target;
  const std::array<const char*, 2> options{architecture.c_str(), "--std=c++17"};
  const Result result =
      calls_.compile(program.get(), static_cast<int>(options.size()), options.data());
  if (result != 0) {
    std::string log = program.text(calls_.log_bytes, calls_.log);
    while (!log.empty() && (log.back() == '\0' || log.back() == '\n')) log.pop_back();
    throw Error("CUDA_COMPILE", name + " for " + target + ": " + calls_.error_string(result) +
                                    (log.empty() ? "" : ":\n" + log));
  }
  const bool binary = target.starts_with("sm_");
  std::string code = binary ? program.text(calls_.cubin_bytes, calls_.cubin)
                            : program.text(calls_.ptx_bytes, calls_.ptx);
  if (code.empty()) throw Error("CUDA_COMPILE", name + " for " + target + ": it gave no code");
  return code;
}

}  // namespace framebus::cuda
