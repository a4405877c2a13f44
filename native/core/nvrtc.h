// NVIDIA's run-time compiler, loaded at run time: CUDA C++ -> code for one kind of GPU.
//
// Its interface is that of its public documentation; no vendor header is needed to
// build, and no library to start.
#pragma once

#include <string>
#include <vector>

namespace framebus::cuda {

struct NvrtcVersion {
  int major = 0;
  int minor = 0;
};

// Where libnvrtc of a CUDA no newer than `most_major` may be, the best first: names for
// the loader, then files of toolkits (CUDA_HOME, CUDA_PATH, /usr/local/cuda*) and of
// Python's and conda's packages. FRAMEBUS_NVRTC names the only one to try.
std::vector<std::string> nvrtc_candidates(int most_major);

// Thread-safe.
class Nvrtc {
 public:
  // A library by a name for the loader, or by its path. Throws NVRTC_UNAVAILABLE.
  explicit Nvrtc(const std::string& library);
  // The first of the candidates that loads; the driver must know code of its version.
  // Never unloaded. Throws NVRTC_UNAVAILABLE, and is tried again then.
  static const Nvrtc& of_process();

  const NvrtcVersion& version() const { return version_; }
  // The file that it was loaded from.
  const std::string& path() const { return path_; }

  // Code for GPUs of a compute capability (90: 9.0): a cubin, or PTX for the newest that
  // the library knows when the GPU is newer. `name`: for its messages. Throws
  // CUDA_COMPILE with the compiler's words.
  std::string compile(const std::string& source, const std::string& name, int capability) const;

 private:
  using Result = int;  // nvrtcResult; 0 is success.
  struct ProgramTag;
  using Program = ProgramTag*;
  class OwnProgram;
  struct Calls {
    Result (*version)(int* major, int* minor);
    Result (*architecture_count)(int* count);
    Result (*architectures)(int* all);
    const char* (*error_string)(Result result);
    Result (*create)(Program* program, const char* source, const char* name, int headers,
                     const char* const* header_sources, const char* const* header_names);
    Result (*destroy)(Program* program);
    Result (*compile)(Program program, int options, const char* const* option);
    Result (*log_bytes)(Program program, size_t* bytes);
    Result (*log)(Program program, char* text);
    Result (*cubin_bytes)(Program program, size_t* bytes);
    Result (*cubin)(Program program, char* code);
    Result (*ptx_bytes)(Program program, size_t* bytes);
    Result (*ptx)(Program program, char* code);
  };

  void find_calls(void* library);
  void check(Result result, const std::string& name, const char* call) const;
  // "sm_90" for a cubin, "compute_90" for PTX. Throws CUDA_COMPILE.
  std::string target_for(int capability, const std::string& name) const;

  Calls calls_{};
  NvrtcVersion version_;
  std::string path_;
};

}  // namespace framebus::cuda
