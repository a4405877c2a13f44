// The part of libnvbufsurface and of CUDA's EGL interoperability that
// nvbuf_surface.cc uses, declared after their public documentation: NvBufSurface
// as in DeepStream 9.1 (NVIDIA/DeepStream, includes/nvbufsurface.h), CUDA 11.4
// and newer (cudaEGL.h). Tests compare the layouts where the header is at hand.
#pragma once

#include <cstdint>

namespace framebus::nvbuf {

constexpr int kGray8 = 1;         // NVBUF_COLOR_FORMAT_GRAY8
constexpr int kPitchLayout = 0;   // NVBUF_LAYOUT_PITCH
constexpr int kSurfaceArray = 4;  // NVBUF_MEM_SURFACE_ARRAY
constexpr int kMaxPlanes = 4;
constexpr int kPadding = 4;

struct CreateParams {  // NvBufSurfaceCreateParams
  uint32_t gpu = 0;
  uint32_t width = 0;
  uint32_t height = 0;
  uint32_t size = 0;  // When set, width, height and format are ignored.
  bool contiguous = false;
  int color_format = kGray8;
  int layout = kPitchLayout;
  int memory_type = kSurfaceArray;
  void* reserved[kPadding] = {};
};

struct PlaneParams {  // NvBufSurfacePlaneParams
  uint32_t planes = 0;
  uint32_t width[kMaxPlanes] = {};
  uint32_t height[kMaxPlanes] = {};
  uint32_t pitch[kMaxPlanes] = {};
  uint32_t offset[kMaxPlanes] = {};
  uint32_t bytes[kMaxPlanes] = {};
  uint32_t bytes_per_pixel[kMaxPlanes] = {};
  void* reserved[kPadding * kMaxPlanes] = {};
};

struct SurfaceParams {  // NvBufSurfaceParams, as far as it is the same in all versions.
  uint32_t width = 0;
  uint32_t height = 0;
  uint32_t pitch = 0;
  int color_format = 0;
  int layout = 0;
  uint64_t dmabuf = 0;
  uint32_t data_bytes = 0;
  void* data = nullptr;
  PlaneParams plane;
  void* mapped[kMaxPlanes] = {};
  void* egl_image = nullptr;
};

struct Surface {  // NvBufSurface
  uint32_t gpu = 0;
  uint32_t batch = 0;
  uint32_t filled = 0;
  bool contiguous = false;
  int memory_type = 0;
  SurfaceParams* list = nullptr;
};

struct MapPlaneParams {  // NvBufSurfaceMapPlaneParams
  uint32_t width = 0;
  uint32_t height = 0;
  uint32_t pitch = 0;
  uint32_t offset = 0;
  uint32_t bytes = 0;
  uint32_t second_field_offset = 0;
  uint32_t block_height_log2 = 0;
  uint64_t flags = 0;
  uint8_t reserved[64] = {};
};

struct MapParams {  // NvBufSurfaceMapParams
  uint32_t planes = 0;
  uint32_t gpu = 0;
  uint64_t dmabuf = 0;
  uint32_t total_bytes = 0;
  int memory_type = kSurfaceArray;
  int layout = kPitchLayout;
  int scan_format = 0;
  int color_format = kGray8;
  uint8_t chroma_subsampling[8] = {};
  MapPlaneParams plane[kMaxPlanes];
  void* extended = nullptr;
  void* reserved[kPadding] = {};
};

struct EglFrame {  // CUeglFrame
  static constexpr int kPitch = 1;
  void* plane[3] = {};
  unsigned width = 0;
  unsigned height = 0;
  unsigned depth = 0;
  unsigned pitch = 0;
  unsigned planes = 0;
  unsigned channels = 0;
  int type = 0;
  int color_format = 0;
  int array_format = 0;
};

constexpr unsigned kRegisterReadOnly = 1;  // CU_GRAPHICS_REGISTER_FLAGS_READ_ONLY

// Entry points; none is null.
struct Api {
  int (*create)(Surface** surface, uint32_t batch, CreateParams* params);
  int (*destroy)(Surface* surface);
  int (*import)(Surface** surface, const MapParams* params);
  int (*map_egl_image)(Surface* surface, int index);
  int (*unmap_egl_image)(Surface* surface, int index);
  int (*cuda_register)(void** resource, void* egl_image, unsigned flags);
  int (*cuda_frame)(EglFrame* frame, void* resource, unsigned index, unsigned level);
  int (*cuda_unregister)(void* resource);
};

}  // namespace framebus::nvbuf
