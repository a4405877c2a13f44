#include "engine_pictures.h"

#include <cstdlib>
#include <cstring>
#include <utility>

#include "error.h"

namespace framebus {
namespace {

constexpr size_t kAlignment = 64;  // A cache line, and the widest vectors.

size_t floats_of(const std::vector<int64_t>& dims) {
  size_t floats = 1;
  for (const int64_t length : dims) floats *= static_cast<size_t>(length);
  return floats;
}

float* allocate(size_t floats) {
  const size_t bytes = (floats * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
  void* const memory = std::aligned_alloc(kAlignment, bytes);
  if (memory == nullptr) {
    throw Error("ENGINE_MEMORY", "batch tensor: no memory for " + std::to_string(bytes) +
                                     " bytes; use a smaller batch");
  }
  std::memset(memory, 0, bytes);
  return static_cast<float*>(memory);
}

}  // namespace

void EnginePictures::Free::operator()(float* memory) const { std::free(memory); }

EnginePictures::EnginePictures(std::string input, std::vector<int64_t> dims, uint32_t most)
    : input_(std::move(input)),
      dims_(std::move(dims)),
      most_(most),
      floats_(floats_of(dims_)),
      host_(allocate(floats_ * most)) {}

EnginePictures::~EnginePictures() = default;

std::vector<PreprocessGeometry> EnginePictures::preprocess(std::span<const LeasedPart> frames,
                                                           const PreprocessSpec& spec) {
  if (frames.size() > most_ || tensor_size(spec) != floats_) {
    throw Error("BAD_ARGUMENT", "pictures of input \"" + input_ + "\": there is room for " +
                                    std::to_string(most_) + " of " + std::to_string(floats_) +
                                    " floats");
  }
  std::vector<PreprocessGeometry> geometries;
  geometries.reserve(frames.size());
  float* place = host_.get();
  for (const LeasedPart& frame : frames) {
    geometries.push_back(preprocess_part(frame, spec, place));
    place += floats_;
  }
  return geometries;
}

fb_tensor EnginePictures::tensor(uint32_t batch) const {
  if (batch < 1 || batch > most_) {
    throw Error("BAD_ARGUMENT", "pictures of input \"" + input_ + "\": a batch of " +
                                    std::to_string(batch) + ", there is room for " +
                                    std::to_string(most_));
  }
  fb_tensor tensor{};
  tensor.name = input_.c_str();
  tensor.data = host_.get();
  tensor.bytes = uint64_t{batch} * floats_ * sizeof(float);
  tensor.dims[0] = batch;
  for (size_t i = 0; i < dims_.size(); ++i) tensor.dims[i + 1] = dims_[i];
  tensor.rank = static_cast<uint32_t>(dims_.size() + 1);
  tensor.type = FB_FLOAT32;
  tensor.memory = FB_HOST;
  return tensor;
}

}  // namespace framebus
