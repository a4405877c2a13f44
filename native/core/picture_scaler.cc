#include "picture_scaler.h"

#include <algorithm>
#include <string>

#include "error.h"
#include "picture_pool.h"

namespace framebus {
namespace {

std::string size_of(const FrameFormat& format) {
  return std::to_string(format.width) + "x" + std::to_string(format.height);
}

}  // namespace

FrameFormat scaled_format(const FrameFormat& format, uint32_t width) {
  FrameFormat scaled = encoded_format(format);
  if (width == 0 || width == scaled.width) return scaled;
  const uint64_t pairs = (uint64_t{format.height} * width + format.width) / (2 * format.width);
  scaled.width = width;
  scaled.height = static_cast<uint32_t>(std::max<uint64_t>(2 * pairs, 2));
  return scaled;
}

PictureScaler::PictureScaler(const FrameFormat& from, const FrameFormat& to)
    : from_(video_info_of(from)) {
  const GstVideoInfo out = video_info_of(to);
  // Linear between the centres; to a smaller size, over all pixels that one is made of.
  GstStructure* config = gst_structure_new(
      "framebus-scaling", GST_VIDEO_CONVERTER_OPT_RESAMPLER_METHOD, GST_TYPE_VIDEO_RESAMPLER_METHOD,
      GST_VIDEO_RESAMPLER_METHOD_LINEAR, nullptr);
  converter_.reset(gst_video_converter_new(&from_, &out, config));  // Takes the structure.
  if (converter_ == nullptr) {
    throw Error("ENCODER_FAILED", "output: pictures of " + size_of(from) +
                                      " pixels cannot be scaled to " + size_of(to));
  }
}

void PictureScaler::scale(const FrameView& from, GstVideoFrame* to) {
  GstVideoFrame frame{};
  frame.info = from_;
  for (uint32_t plane = 0; plane < plane_count(from.format.pixel_format); ++plane) {
    // The library has no word for pixels that are only read.
    frame.data[plane] = const_cast<uint8_t*>(from.data[plane]);
    frame.info.stride[plane] = static_cast<gint>(from.stride[plane]);
  }
  gst_video_converter_frame(converter_.get(), &frame, to);
}

}  // namespace framebus
