// The batch of pictures that an engine is given: preprocessed frames, one after the other.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cuda_device.h"
#include "engine/framebus_engine.h"
#include "leased_part.h"
#include "preprocess.h"

namespace framebus {

// float32. One thread at a time.
class EnginePictures {
 public:
  // `input`: name of the engine's input; `dims`: of one picture, 3 x H x W or H x W x 3;
  // `most`: pictures that it has room for; `memory`: where the engine wants them, FB_HOST
  // or FB_CUDA; `gpu`: number of its GPU. All zeros at first. Throws ENGINE_MEMORY.
  EnginePictures(std::string input, std::vector<int64_t> dims, uint32_t most, int32_t memory,
                 int32_t gpu);
  ~EnginePictures();
  EnginePictures(const EnginePictures&) = delete;
  EnginePictures& operator=(const EnginePictures&) = delete;

  uint32_t most() const { return most_; }
  size_t floats() const { return floats_; }  // Of one picture.

  // Writes the frames to places 0, 1, … On the GPU, without a copy to the host, when the
  // engine wants them there, all frames lie there, and its kernel can be had; otherwise
  // by the CPU. On the GPU it is not waited for: the frames stay leased until
  // release_frames(). Throws BAD_ARGUMENT when they are more than `most`, or the spec is
  // of another size; BUS_MEMORY, ENGINE_MEMORY.
  std::vector<PreprocessGeometry> preprocess(std::span<const LeasedPart> frames,
                                             const PreprocessSpec& spec);

  // The first `batch` of them, as an input; the memory is borrowed from this object.
  // Throws BAD_ARGUMENT when there are not so many.
  fb_tensor tensor(uint32_t batch) const;
  // On which they are written; null when they lie in host memory. Borrowed.
  void* stream() const;
  // After a run, also one that failed: lets go of the frames once the GPU has read them.
  void release_frames() noexcept;

 private:
  class OnGpu;

  bool preprocess_on_gpu(std::span<const LeasedPart> frames, const PreprocessSpec& spec,
                         std::vector<PreprocessGeometry>& geometries);
  struct Free {
    void operator()(float* memory) const;
  };

  const std::string input_;
  const std::vector<int64_t> dims_;
  const uint32_t most_;
  const size_t floats_;
  std::unique_ptr<float[], Free> host_;
  bool wants_gpu_;  // Until it turns out that it cannot be.
  const int32_t gpu_;
  std::unique_ptr<OnGpu> on_gpu_;  // Null until frames come that lie there.
  bool is_on_gpu_ = false;         // Where the pictures of the last preprocess() are.
  std::vector<LeasedPart> held_;
};

}  // namespace framebus
