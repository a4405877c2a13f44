// The batch of pictures that an engine is given: preprocessed frames, one after the other.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/framebus_engine.h"
#include "leased_part.h"
#include "preprocess.h"

namespace framebus {

// float32. One thread at a time.
class EnginePictures {
 public:
  // `input`: name of the engine's input; `dims`: of one picture, 3 x H x W or H x W x 3;
  // `most`: pictures that it has room for. All zeros at first. Throws ENGINE_MEMORY.
  EnginePictures(std::string input, std::vector<int64_t> dims, uint32_t most);
  ~EnginePictures();
  EnginePictures(const EnginePictures&) = delete;
  EnginePictures& operator=(const EnginePictures&) = delete;

  uint32_t most() const { return most_; }
  size_t floats() const { return floats_; }  // Of one picture.

  // Writes the frames to places 0, 1, … Throws BAD_ARGUMENT when they are more than
  // `most`, or the spec is of another size; BUS_MEMORY.
  std::vector<PreprocessGeometry> preprocess(std::span<const LeasedPart> frames,
                                             const PreprocessSpec& spec);

  // The first `batch` of them, as an input; the memory is borrowed from this object.
  // Throws BAD_ARGUMENT when there are not so many.
  fb_tensor tensor(uint32_t batch) const;

 private:
  struct Free {
    void operator()(float* memory) const;
  };

  const std::string input_;
  const std::vector<int64_t> dims_;
  const uint32_t most_;
  const size_t floats_;
  std::unique_ptr<float[], Free> host_;
};

}  // namespace framebus
