#include "cuda_preprocess_batch.h"

#include <cstddef>

namespace framebus {
namespace {

kernel::Frame frame_of(const FrameView& view, const PreprocessSpec& spec, float* tensor) {
  const FrameFormat& format = view.format;
  const bool nv12 = format.pixel_format == PixelFormat::kNv12;
  const PicturePlacement place = place_picture(format.width, format.height, spec);
  const rows::ColorCoefficients color = color_coefficients(format);
  return {.y = view.data[0],
          .u = view.data[1],
          .v = nv12 ? view.data[1] + 1 : view.data[2],
          .tensor = tensor,
          .y_stride = view.stride[0],
          .u_stride = view.stride[1],
          .v_stride = nv12 ? view.stride[1] : view.stride[2],
          .chroma_step = nv12 ? 2U : 1U,
          .width = format.width,
          .height = format.height,
          .left = place.left,
          .top = place.top,
          .picture_width = place.width,
          .picture_height = place.height,
          .across_inverse = 0.5F / static_cast<float>(place.width),
          .down_inverse = 0.5F / static_cast<float>(place.height),
          .luma = color.luma,
          .red_v = color.red_v,
          .red_0 = color.red_0,
          .green_u = color.green_u,
          .green_v = color.green_v,
          .green_0 = color.green_0,
          .blue_u = color.blue_u,
          .blue_0 = color.blue_0};
}

}  // namespace

kernel::Batch preprocess_batch(std::span<const FrameView> frames, const PreprocessSpec& spec,
                               float* tensor) {
  kernel::Batch batch{};
  for (size_t i = 0; i < frames.size(); ++i)
    batch.frames[i] = frame_of(frames[i], spec, tensor + i * tensor_size(spec));
  const bool planar = spec.layout == TensorLayout::kNchw;
  batch.width = spec.width;
  batch.height = spec.height;
  batch.pixel_step = planar ? 1 : 3;
  for (unsigned i = 0; i < 3; ++i) {
    const unsigned channel = spec.color_order == ColorOrder::kRgb ? i : 2 - i;
    batch.channel[i] = planar ? channel * spec.width * spec.height : channel;
    batch.mean[i] = spec.mean[channel];
    batch.scale[i] = spec.scale[channel];
    batch.pad[i] = (spec.pad_value - spec.mean[channel]) * spec.scale[channel];
  }
  return batch;
}

}  // namespace framebus
