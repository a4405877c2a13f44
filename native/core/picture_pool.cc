#include "picture_pool.h"

#include <algorithm>
#include <cstring>

#include "error.h"

namespace framebus {
namespace {

void copy_plane(const uint8_t* from, uint32_t from_stride, uint8_t* to, uint32_t to_stride,
                uint32_t row_bytes, uint32_t rows) {
  if (from_stride == to_stride) {
    // The last row may be shorter than the stride.
    std::memcpy(to, from, size_t{from_stride} * (rows - 1) + row_bytes);
    return;
  }
  for (uint32_t row = 0; row < rows; ++row) {
    std::memcpy(to + size_t{to_stride} * row, from + size_t{from_stride} * row, row_bytes);
  }
}

}  // namespace

GstVideoInfo video_info_of(const FrameFormat& format) {
  GstVideoInfo info;
  gst_video_info_init(&info);
  const GstVideoFormat pixels =
      format.pixel_format == PixelFormat::kNv12 ? GST_VIDEO_FORMAT_NV12 : GST_VIDEO_FORMAT_I420;
  gst_video_info_set_format(&info, pixels, format.width, format.height);
  const bool bt709 = format.matrix == ColorMatrix::kBt709;
  info.colorimetry.range = format.range == ColorRange::kFull ? GST_VIDEO_COLOR_RANGE_0_255
                                                             : GST_VIDEO_COLOR_RANGE_16_235;
  info.colorimetry.matrix = bt709 ? GST_VIDEO_COLOR_MATRIX_BT709 : GST_VIDEO_COLOR_MATRIX_BT601;
  info.colorimetry.transfer = bt709 ? GST_VIDEO_TRANSFER_BT709 : GST_VIDEO_TRANSFER_BT601;
  info.colorimetry.primaries =
      bt709 ? GST_VIDEO_COLOR_PRIMARIES_BT709 : GST_VIDEO_COLOR_PRIMARIES_SMPTE170M;
  info.fps_n = static_cast<gint>(format.frame_rate_numerator);
  info.fps_d = static_cast<gint>(std::max(format.frame_rate_denominator, 1U));
  info.par_n = static_cast<gint>(std::max(format.pixel_aspect_numerator, 1U));
  info.par_d = static_cast<gint>(std::max(format.pixel_aspect_denominator, 1U));
  return info;
}

FrameFormat encoded_format(const FrameFormat& format) {
  FrameFormat even = format;
  even.width = std::max(format.width & ~1U, 2U);
  even.height = std::max(format.height & ~1U, 2U);
  return even;
}

GstPtr<GstCaps> caps_of(const FrameFormat& format) {
  const GstVideoInfo info = video_info_of(format);
  return GstPtr<GstCaps>(gst_video_info_to_caps(&info));
}

PicturePool::PicturePool(const FrameFormat& format)
    : format_(format), info_(video_info_of(format)), pool_(gst_video_buffer_pool_new()) {
  const GstPtr<GstCaps> caps = caps_of(format);
  GstStructure* config = gst_buffer_pool_get_config(pool_.get());
  gst_buffer_pool_config_set_params(config, caps.get(), static_cast<guint>(info_.size), 0, 0);
  gst_buffer_pool_config_add_option(config, GST_BUFFER_POOL_OPTION_VIDEO_META);
  if (gst_buffer_pool_set_config(pool_.get(), config) == FALSE ||
      gst_buffer_pool_set_active(pool_.get(), TRUE) == FALSE) {
    throw Error("ENCODER_FAILED", "output: no pool for pictures of " +
                                      std::to_string(format.width) + "x" +
                                      std::to_string(format.height) + " pixels");
  }
}

PicturePool::~PicturePool() { gst_buffer_pool_set_active(pool_.get(), FALSE); }

GstPtr<GstBuffer> PicturePool::acquire() {
  GstBuffer* acquired = nullptr;
  if (gst_buffer_pool_acquire_buffer(pool_.get(), &acquired, nullptr) != GST_FLOW_OK) {
    throw Error("ENCODER_FAILED", "output: no memory for a picture");
  }
  return GstPtr<GstBuffer>(acquired);
}

GstPtr<GstBuffer> PicturePool::copy(const FrameView& view) {
  GstPtr<GstBuffer> picture = acquire();
  PictureMap map(picture.get(), format_, GST_MAP_WRITE);
  const MutableFrame to = map.pixels();
  for (uint32_t plane = 0; plane < plane_count(format_.pixel_format); ++plane) {
    copy_plane(view.data[plane], view.stride[plane], to.data[plane], to.stride[plane],
               plane_row_bytes(format_, plane), plane_rows(format_, plane));
  }
  return picture;
}

PictureMap::PictureMap(GstBuffer* picture, const FrameFormat& format, GstMapFlags access)
    : format_(format) {
  const GstVideoInfo info = video_info_of(format);
  if (gst_video_frame_map(&frame_, &info, picture, access) == FALSE) {
    throw Error("ENCODER_FAILED", "output: a picture's memory cannot be mapped");
  }
}

PictureMap::~PictureMap() { gst_video_frame_unmap(&frame_); }

FrameView PictureMap::view() const {
  FrameView view{.format = format_};
  for (uint32_t plane = 0; plane < plane_count(format_.pixel_format); ++plane) {
    view.data[plane] = static_cast<const uint8_t*>(frame_.data[plane]);
    view.stride[plane] = static_cast<uint32_t>(frame_.info.stride[plane]);
  }
  return view;
}

MutableFrame PictureMap::pixels() {
  MutableFrame pixels{.format = format_};
  for (uint32_t plane = 0; plane < plane_count(format_.pixel_format); ++plane) {
    pixels.data[plane] = static_cast<uint8_t*>(frame_.data[plane]);
    pixels.stride[plane] = static_cast<uint32_t>(frame_.info.stride[plane]);
  }
  return pixels;
}

}  // namespace framebus
