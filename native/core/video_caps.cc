#include "video_caps.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

namespace framebus {

namespace {

ColorMatrix matrix_of(const GstVideoInfo& info) {
  switch (info.colorimetry.matrix) {
    case GST_VIDEO_COLOR_MATRIX_BT601:
    case GST_VIDEO_COLOR_MATRIX_FCC:
      return ColorMatrix::kBt601;
    case GST_VIDEO_COLOR_MATRIX_BT709:
    case GST_VIDEO_COLOR_MATRIX_SMPTE240M:
    case GST_VIDEO_COLOR_MATRIX_BT2020:  // The nearest of the two.
      return ColorMatrix::kBt709;
    default:
      // Nobody says: GStreamer's and ffmpeg's custom is to go by size.
      return GST_VIDEO_INFO_HEIGHT(&info) > 576 ? ColorMatrix::kBt709 : ColorMatrix::kBt601;
  }
}

constexpr uint32_t kMaxReferences = 16;

struct LevelLimit {
  std::string_view level;
  uint32_t max_dpb_macroblocks;
};

// ITU-T H.264 table A-1, MaxDpbMbs.
constexpr std::array<LevelLimit, 20> kH264Levels{
    {{"1", 396},      {"1b", 396},     {"1.1", 900},   {"1.2", 2376},   {"1.3", 2376},
     {"2", 2376},     {"2.1", 4752},   {"2.2", 8100},  {"3", 8100},     {"3.1", 18000},
     {"3.2", 20480},  {"4", 32768},    {"4.1", 32768}, {"4.2", 34816},  {"5", 110400},
     {"5.1", 184320}, {"5.2", 184320}, {"6", 696320},  {"6.1", 696320}, {"6.2", 696320}}};

uint32_t h264_references(std::string_view level, uint32_t width, uint32_t height) {
  const auto* const limit = std::find_if(kH264Levels.begin(), kH264Levels.end(),
                                         [level](const LevelLimit& l) { return l.level == level; });
  const uint32_t macroblocks = ((width + 15) / 16) * ((height + 15) / 16);
  if (limit == kH264Levels.end() || macroblocks == 0) return kMaxReferences;
  return std::clamp(limit->max_dpb_macroblocks / macroblocks, 1U, kMaxReferences);
}

// ITU-T H.265 table A.8, MaxLumaPs.
uint32_t h265_references(std::string_view level, uint32_t width, uint32_t height) {
  uint64_t max_luma = 35'651'584;
  if (level.starts_with("1")) max_luma = 36'864;
  if (level == "2") max_luma = 122'880;
  if (level == "2.1") max_luma = 245'760;
  if (level == "3") max_luma = 552'960;
  if (level == "3.1") max_luma = 983'040;
  if (level.starts_with("4")) max_luma = 2'228'224;
  if (level.starts_with("5")) max_luma = 8'912'896;
  const uint64_t luma = uint64_t{width} * height;
  if (luma <= max_luma / 4) return 16;
  if (luma <= max_luma / 2) return 12;
  if (luma <= max_luma * 3 / 4) return 8;
  return 6;
}

uint32_t references_of(const GstStructure* encoded) {
  const std::string_view codec = gst_structure_get_name(encoded);
  const gchar* level_field = gst_structure_get_string(encoded, "level");
  const std::string_view level = level_field != nullptr ? level_field : "";
  gint width = 0;
  gint height = 0;
  gst_structure_get_int(encoded, "width", &width);
  gst_structure_get_int(encoded, "height", &height);
  if (codec == "video/x-h264")
    return h264_references(level, static_cast<uint32_t>(width), static_cast<uint32_t>(height));
  if (codec == "video/x-h265")
    return h265_references(level, static_cast<uint32_t>(width), static_cast<uint32_t>(height));
  if (codec == "video/x-vp9" || codec == "video/x-av1") return 8;
  if (codec == "image/jpeg" || codec == "video/x-raw") return 0;
  return 4;  // MPEG-1, -2, -4, VP8 and their kind.
}

}  // namespace

std::optional<FrameFormat> frame_format_of(const GstVideoInfo& info) {
  FrameFormat format;
  switch (GST_VIDEO_INFO_FORMAT(&info)) {
    case GST_VIDEO_FORMAT_I420:
      format.pixel_format = PixelFormat::kI420;
      break;
    case GST_VIDEO_FORMAT_NV12:
    case GST_VIDEO_FORMAT_P010_10LE:  // NVDEC's 10 bits; made 8 while they are copied.
      format.pixel_format = PixelFormat::kNv12;
      break;
    default:
      return std::nullopt;
  }
  format.width = static_cast<uint32_t>(GST_VIDEO_INFO_WIDTH(&info));
  format.height = static_cast<uint32_t>(GST_VIDEO_INFO_HEIGHT(&info));
  format.matrix = matrix_of(info);
  format.range = info.colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255 ? ColorRange::kFull
                                                                       : ColorRange::kLimited;
  if (GST_VIDEO_INFO_FPS_N(&info) > 0 && GST_VIDEO_INFO_FPS_D(&info) > 0) {
    format.frame_rate_numerator = static_cast<uint32_t>(GST_VIDEO_INFO_FPS_N(&info));
    format.frame_rate_denominator = static_cast<uint32_t>(GST_VIDEO_INFO_FPS_D(&info));
  }
  if (GST_VIDEO_INFO_PAR_N(&info) > 0 && GST_VIDEO_INFO_PAR_D(&info) > 0) {
    format.pixel_aspect_numerator = static_cast<uint32_t>(GST_VIDEO_INFO_PAR_N(&info));
    format.pixel_aspect_denominator = static_cast<uint32_t>(GST_VIDEO_INFO_PAR_D(&info));
  }
  return format;
}

bool same_picture(const FrameFormat& a, const FrameFormat& b) {
  FrameFormat c = b;
  c.frame_rate_numerator = a.frame_rate_numerator;
  c.frame_rate_denominator = a.frame_rate_denominator;
  return a == c;
}

uint32_t decoder_frames(const GstCaps* encoded, uint32_t threads) {
  // The frame in work, and the one on its way out.
  constexpr uint32_t kInWork = 2;
  if (encoded == nullptr || gst_caps_get_size(encoded) == 0) return kMaxReferences + kInWork;
  const uint32_t references = references_of(gst_caps_get_structure(encoded, 0));
  if (references == 0) return kInWork;
  // A frame thread has a frame in work and, until its next turn, one reference more
  // than the stream still has.
  const uint32_t in_threads = threads > 1 ? 2 * threads : threads;
  return references + in_threads + kInWork;
}

}  // namespace framebus
