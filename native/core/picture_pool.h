// Buffers of the encoder's format, and the one copy of a frame into them.
#pragma once

#include <gst/video/video.h>

#include "canvas.h"
#include "frame_view.h"
#include "gst_ptr.h"

namespace framebus {

// The format that is encoded: the frame's own, cut to even sizes, because
// H.264 in 4:2:0 has no odd ones.
FrameFormat encoded_format(const FrameFormat& format);

// What GStreamer knows a format by, with colorimetry, pixel aspect and frame rate.
GstVideoInfo video_info_of(const FrameFormat& format);

// Raw video caps of a format, the same.
GstPtr<GstCaps> caps_of(const FrameFormat& format);

// Thread-safe. Buffers go back into the pool when their last user drops them,
// also after the pool itself is gone.
class PicturePool {
 public:
  // Throws Error ENCODER_FAILED.
  explicit PicturePool(const FrameFormat& format);
  ~PicturePool();
  PicturePool(const PicturePool&) = delete;
  PicturePool& operator=(const PicturePool&) = delete;

  // A picture with the frame's pixels. The view's size may be one pixel larger
  // (see encoded_format). Throws Error ENCODER_FAILED when there is no memory.
  GstPtr<GstBuffer> copy(const FrameView& view);
  // A picture whose pixels are whatever was there. Throws as `copy`.
  GstPtr<GstBuffer> acquire();

 private:
  const FrameFormat format_;
  GstVideoInfo info_{};
  GstPtr<GstBufferPool> pool_;
};

// A picture of the pool, mapped.
class PictureMap {
 public:
  // The picture is borrowed. Throws Error ENCODER_FAILED when it cannot be mapped.
  PictureMap(GstBuffer* picture, const FrameFormat& format, GstMapFlags access);
  ~PictureMap();
  PictureMap(const PictureMap&) = delete;
  PictureMap& operator=(const PictureMap&) = delete;

  FrameView view() const;
  MutableFrame pixels();  // Only when mapped for writing.
  // For the video library; borrowed from this object.
  GstVideoFrame* frame() { return &frame_; }

 private:
  const FrameFormat format_;
  GstVideoFrame frame_{};
};

}  // namespace framebus
