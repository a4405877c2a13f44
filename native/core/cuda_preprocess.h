// Frames in GPU memory -> a batch's input tensor, on the GPU.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "cuda_device.h"
#include "cuda_kernel_cache.h"
#include "frame_view.h"
#include "nvrtc.h"
#include "preprocess.h"

namespace framebus {

// preprocess() on one GPU: the same tensor within 1/255 of a level. Thread-safe.
//
// Frames are views of device addresses, as Lease::device() gives them or a part of such
// a view; all on this GPU. Nothing here waits for a frame's lease: who gave the frames
// keeps them leased until the kernel has read them.
class CudaPreprocessor {
 public:
  // Takes the kernel from the cache, or compiles it and keeps it there. Throws
  // CUDA_COMPILE, BUS_MEMORY.
  CudaPreprocessor(std::shared_ptr<const cuda::CudaDevice> device, const cuda::Nvrtc& nvrtc,
                   const cuda::KernelCache& cache);
  ~CudaPreprocessor();
  CudaPreprocessor(const CudaPreprocessor&) = delete;
  CudaPreprocessor& operator=(const CudaPreprocessor&) = delete;

  // The process's own for a GPU, which it keeps: made at the first call that succeeds;
  // a missing or failed compiler is remembered and not looked for again. Throws
  // NVRTC_UNAVAILABLE, CUDA_COMPILE, BUS_MEMORY.
  static CudaPreprocessor& of_process(cuda::Device device);

  // Fills a tensor of the caller's on this GPU, frames.size() * tensor_size(spec) floats;
  // the work is given to `stream` of the GPU's primary context, one launch for 32 frames.
  // Throws CUDA_DEVICE, BUS_MEMORY.
  std::vector<PreprocessGeometry> to_device(std::span<const FrameView> frames,
                                            const PreprocessSpec& spec, cuda::Address tensor,
                                            cuda::Stream stream) const;
  // The same for a tensor in host memory: one copy at the end, and it is waited for.
  // Throws CUDA_DEVICE, BUS_MEMORY, NO_SPACE.
  std::vector<PreprocessGeometry> to_host(std::span<const FrameView> frames,
                                          const PreprocessSpec& spec, float* tensor);

  // "NVRTC 13.0 (/usr/…/libnvrtc.so.13), kernel for compute capability 9.0 compiled in 70 ms".
  const std::string& description() const { return description_; }

 private:
  class Workspace;

  void load_kernel(const cuda::Nvrtc& nvrtc, const cuda::KernelCache& cache);
  bool load_module(const std::string& code);
  void check_device(std::span<const FrameView> frames, cuda::Address tensor) const;
  std::vector<PreprocessGeometry> launch(std::span<const FrameView> frames,
                                         const PreprocessSpec& spec, cuda::Address tensor,
                                         cuda::Stream stream) const;
  std::unique_ptr<Workspace> take_workspace();
  void give_back(std::unique_ptr<Workspace> workspace);

  const std::shared_ptr<const cuda::CudaDevice> device_;
  cuda::Module module_ = nullptr;      // Owned.
  cuda::Function function_ = nullptr;  // Of the module.
  std::string description_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> idle_;
};

// The GPU that an address of device memory lies on. Throws CUDA_DEVICE when it is none.
cuda::Device device_of(cuda::Address address);

// to_device() of the GPU that the first frame lies on; for engines that take device
// pointers. Throws as of_process() and to_device().
std::vector<PreprocessGeometry> preprocess_to_device(std::span<const FrameView> device_frames,
                                                     const PreprocessSpec& spec,
                                                     cuda::Address tensor, cuda::Stream stream);

// Whether frames on the first GPU are preprocessed there, and by what, or why not. May
// compile. Never throws.
struct CudaPreprocessProbe {
  bool available = false;
  std::string detail;
};
CudaPreprocessProbe probe_cuda_preprocess();

}  // namespace framebus
