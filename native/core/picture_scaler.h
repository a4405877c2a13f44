// Frames in another size, by GStreamer's video library.
#pragma once

#include <gst/video/video.h>

#include <cstdint>
#include <memory>

#include "frame_view.h"

namespace framebus {

// What is encoded of frames of a format: `width` (even) across, and as high as keeps their
// shape, to an even number. Width 0: see encoded_format.
FrameFormat scaled_format(const FrameFormat& format, uint32_t width);

// Used by one thread at a time. Layout and colours stay as they are.
class PictureScaler {
 public:
  // Throws Error ENCODER_FAILED.
  PictureScaler(const FrameFormat& from, const FrameFormat& to);

  // Reads the frame once and writes the whole picture, which is mapped for writing.
  void scale(const FrameView& from, GstVideoFrame* to);

 private:
  struct Free {
    void operator()(GstVideoConverter* converter) const { gst_video_converter_free(converter); }
  };

  const GstVideoInfo from_;
  std::unique_ptr<GstVideoConverter, Free> converter_;
};

}  // namespace framebus
