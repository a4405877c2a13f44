#include "preprocess_parts.h"

#include <optional>
#include <string_view>

#include "cuda_preprocess.h"
#include "error.h"

namespace framebus {
namespace {

// A part as the GPU sees it.
struct DevicePart {
  FrameView view;
  std::optional<FrameCrop> crop;
};

// None when the frame does not lie on a GPU.
std::optional<DevicePart> on_device(const LeasedPart& part) {
  const FrameView whole = part.lease->device();
  if (whole.data[0] == nullptr) return std::nullopt;
  if (!part.region) return DevicePart{whole, std::nullopt};
  const FrameCrop cropped = crop(whole, *part.region);
  return DevicePart{cropped.view, cropped};
}

// Null when there is no compiler, or it does not compile.
CudaPreprocessor* preprocessor_of(const std::optional<DevicePart>& part) {
  if (!part) return nullptr;
  try {
    return &CudaPreprocessor::of_process(
        device_of(reinterpret_cast<cuda::Address>(part->view.data[0])));
  } catch (const Error& error) {
    const std::string_view code = error.code();
    if (code != "NVRTC_UNAVAILABLE" && code != "CUDA_COMPILE") throw;
    return nullptr;
  }
}

std::vector<FrameView> views_of(std::span<const std::optional<DevicePart>> parts) {
  std::vector<FrameView> views;
  views.reserve(parts.size());
  for (const std::optional<DevicePart>& part : parts) views.push_back(part->view);
  return views;
}

}  // namespace

std::vector<PreprocessGeometry> preprocess_parts(std::span<const LeasedPart> parts,
                                                 const PreprocessSpec& spec, float* tensor) {
  std::vector<std::optional<DevicePart>> located;
  std::vector<CudaPreprocessor*> by;
  for (const LeasedPart& part : parts) {
    located.push_back(on_device(part));
    by.push_back(preprocessor_of(located.back()));
  }
  std::vector<PreprocessGeometry> geometries;
  geometries.reserve(parts.size());
  for (size_t done = 0; done < parts.size();) {
    float* const place = tensor + done * tensor_size(spec);
    if (by[done] == nullptr) {
      geometries.push_back(preprocess_part(parts[done++], spec, place));
      continue;
    }
    size_t end = done + 1;
    while (end < parts.size() && by[end] == by[done]) ++end;
    const auto some = std::span(located).subspan(done, end - done);
    const auto found = by[done]->to_host(views_of(some), spec, place);
    for (size_t i = 0; i < some.size(); ++i)
      geometries.push_back(some[i]->crop ? in_whole_frame(found[i], *some[i]->crop) : found[i]);
    done = end;
  }
  return geometries;
}

}  // namespace framebus
