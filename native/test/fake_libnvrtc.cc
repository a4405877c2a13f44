// A run-time compiler for machines without CUDA: the calls that framebus makes, as a
// libnvrtc.so.13 for tests. It looks at what it is asked for as far as it can be
// checked without a compiler; its code names the kernels that it found, and the fake
// driver runs those that it has been built with.
//
// FRAMEBUS_FAKE_NVRTC: "fails" refuses every source, "old-gpus" knows none newer than
// 8.0, "new-gpus" none older than 10.0.

// With sanitizers GCC 12 warns of what is inside of std::regex.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

#include <cstdlib>
#include <cstring>
#include <regex>
#include <string>
#include <vector>

namespace {

constexpr int kInvalidInput = 3;
constexpr int kInvalidProgram = 4;
constexpr int kInvalidOption = 5;
constexpr int kCompilation = 6;

struct Program {
  std::string source;
  std::string name;
  std::string log;
  std::string cubin;
  std::string ptx;
};

unsigned alive = 0;
unsigned compiled = 0;

std::string setting() {
  const char* const value = std::getenv("FRAMEBUS_FAKE_NVRTC");
  return value != nullptr ? value : "";
}

std::vector<int> architectures() {
  if (setting() == "old-gpus") return {75, 80};
  if (setting() == "new-gpus") return {100, 120};
  return {75, 80, 90, 100};
}

std::string kernels_of(const std::string& source) {
  const std::regex entry(R"(extern "C" __global__ void[^;{]*?(\w+)\(FB_ARGUMENT)");
  std::string names;
  for (std::sregex_iterator found(source.begin(), source.end(), entry), end; found != end; ++found)
    names += (*found)[1].str() + "\n";
  return names;
}

int copy(const std::string& from, char* to) {
  std::memcpy(to, from.c_str(), from.size() + 1);
  return 0;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

// Programs that have not been destroyed, and how many have been compiled.
void fake_nvrtc_counts(unsigned* programs, unsigned* compilations);
void fake_nvrtc_counts(unsigned* programs, unsigned* compilations) {
  *programs = alive;
  *compilations = compiled;
}

#define CALL(name, ...)  \
  int name(__VA_ARGS__); \
  int name(__VA_ARGS__)

CALL(nvrtcVersion, int* major, int* minor) {
  *major = 13;
  *minor = 7;
  return 0;
}
CALL(nvrtcGetNumSupportedArchs, int* count) {
  *count = static_cast<int>(architectures().size());
  return 0;
}
CALL(nvrtcGetSupportedArchs, int* all) {
  for (const int each : architectures()) *all++ = each;
  return 0;
}
const char* nvrtcGetErrorString(int result);
const char* nvrtcGetErrorString(int result) {
  if (result == kCompilation) return "NVRTC_ERROR_COMPILATION";
  return result == 0 ? "NVRTC_SUCCESS" : "NVRTC_ERROR_INVALID_INPUT";
}
CALL(nvrtcCreateProgram, Program** program, const char* source, const char* name, int headers,
     const char* const*, const char* const*) {
  if (source == nullptr || headers != 0) return kInvalidInput;
  *program = new Program{.source = source, .name = name, .log = {}, .cubin = {}, .ptx = {}};
  ++alive;
  return 0;
}
CALL(nvrtcDestroyProgram, Program** program) {
  if (*program == nullptr) return kInvalidProgram;
  delete *program;
  *program = nullptr;
  --alive;
  return 0;
}
CALL(nvrtcCompileProgram, Program* program, int options, const char* const* option) {
  std::string target;
  for (int i = 0; i < options; ++i) {
    const std::string each = option[i];
    const std::string wanted = "--gpu-architecture=";
    if (each.starts_with(wanted)) target = each.substr(wanted.size());
    if (!each.starts_with(wanted) && each != "--std=c++17") return kInvalidOption;
  }
  bool known = false;
  for (const int each : architectures()) {
    known |= target == "sm_" + std::to_string(each) || target == "compute_" + std::to_string(each);
  }
  if (!known) return kInvalidOption;
  ++compiled;
  const std::string kernels = kernels_of(program->source);
  if (setting() == "fails" || kernels.empty() ||
      program->source.find("#include") != std::string::npos) {
    program->log = program->name + "(1): error: nothing that can be compiled";
    return kCompilation;
  }
  program->ptx = "FAKE PTX " + target + "\n" + kernels;
  if (target.starts_with("sm_")) program->cubin = "FAKE CUBIN " + target + "\n" + kernels;
  return 0;
}
CALL(nvrtcGetProgramLogSize, Program* program, size_t* bytes) {
  *bytes = program->log.size() + 1;
  return 0;
}
CALL(nvrtcGetProgramLog, Program* program, char* text) { return copy(program->log, text); }
CALL(nvrtcGetCUBINSize, Program* program, size_t* bytes) {
  *bytes = program->cubin.empty() ? 0 : program->cubin.size() + 1;
  return 0;
}
CALL(nvrtcGetCUBIN, Program* program, char* code) { return copy(program->cubin, code); }
CALL(nvrtcGetPTXSize, Program* program, size_t* bytes) {
  *bytes = program->ptx.size() + 1;
  return 0;
}
CALL(nvrtcGetPTX, Program* program, char* code) { return copy(program->ptx, code); }

}  // extern "C"
#pragma GCC visibility pop
