// Decoded frames in GStreamer's CUDA memory, copied into slots on the device.
//
// GStreamer's CUDA headers are not needed: its memory maps to device addresses
// like any other, and what else is needed is looked up in its library.
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include <memory>

#include "cuda_device.h"
#include "frame_pool.h"

namespace framebus {

// Whether frames of these caps, or this buffer's, lie in CUDA memory.
bool in_cuda_memory(const GstCaps* caps);
bool in_cuda_memory(GstBuffer* buffer);

// Makes the CUDA elements of a pipeline use the process's one context on the
// first GPU instead of one of their own each, where GStreamer can (1.22 and
// newer). The device must live as long as the pipeline.
void share_cuda_context(GstElement* pipeline, const cuda::CudaDevice& device);

// One thread at a time.
class CudaFrameCopy {
 public:
  // Throws MEMORY_UNSUPPORTED.
  CudaFrameCopy();
  ~CudaFrameCopy();
  CudaFrameCopy(const CudaFrameCopy&) = delete;
  CudaFrameCopy& operator=(const CudaFrameCopy&) = delete;

  // Copies all planes into a slot that begins at `slot`, and waits until they
  // are there; 10 bits become 8. Throws SOURCE_BROKEN, BUS_MEMORY.
  void copy(GstBuffer* from, const GstVideoInfo& info, cuda::Address slot,
            const FramePoolOptions& to);

 private:
  void copy_planes(const GstVideoFrame& from, cuda::Address slot, const FramePoolOptions& to);
  void narrow(cuda::Address from, size_t from_stride, cuda::Address to, size_t to_stride,
              uint32_t samples, uint32_t rows);

  const std::shared_ptr<const cuda::CudaDevice> device_;
  cuda::Context module_context_ = nullptr;  // Borrowed: for which the next two were loaded.
  cuda::Module module_ = nullptr;
  cuda::Function narrow_ = nullptr;
};

}  // namespace framebus
