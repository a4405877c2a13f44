// What can be said of Jetson's surfaces elsewhere: our declarations against
// NVIDIA's own header where it is on the include path, and what is said without
// the library.
#include "core/nvbuf_surface.h"

#if __has_include(<nvbufsurface.h>)
#include <nvbufsurface.h>
#define HAS_HEADER 1
#endif

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>

#include "check.h"
#include "core/error.h"
#include "core/nvbuf_api.h"

using namespace framebus;
using namespace framebus::test;

TEST("our declarations are those of the library") {
#ifdef HAS_HEADER
#define SAME(ours, our_field, theirs, their_field)                             \
  CHECK(offsetof(nvbuf::ours, our_field) == offsetof(::theirs, their_field) && \
        sizeof(nvbuf::ours::our_field) == sizeof(::theirs::their_field))
  CHECK(nvbuf::kGray8 == NVBUF_COLOR_FORMAT_GRAY8 && nvbuf::kPitchLayout == NVBUF_LAYOUT_PITCH);
  CHECK(nvbuf::kSurfaceArray == NVBUF_MEM_SURFACE_ARRAY);
  CHECK(sizeof(nvbuf::CreateParams) == sizeof(NvBufSurfaceCreateParams));
  SAME(CreateParams, width, NvBufSurfaceCreateParams, width);
  SAME(CreateParams, size, NvBufSurfaceCreateParams, size);
  SAME(CreateParams, color_format, NvBufSurfaceCreateParams, colorFormat);
  SAME(CreateParams, layout, NvBufSurfaceCreateParams, layout);
  SAME(CreateParams, memory_type, NvBufSurfaceCreateParams, memType);
  SAME(SurfaceParams, layout, NvBufSurfaceParams, layout);
  SAME(SurfaceParams, dmabuf, NvBufSurfaceParams, bufferDesc);
  SAME(SurfaceParams, data_bytes, NvBufSurfaceParams, dataSize);
  SAME(SurfaceParams, plane, NvBufSurfaceParams, planeParams);
  SAME(SurfaceParams, plane.pitch, NvBufSurfaceParams, planeParams.pitch);
  SAME(SurfaceParams, plane.offset, NvBufSurfaceParams, planeParams.offset);
  SAME(SurfaceParams, egl_image, NvBufSurfaceParams, mappedAddr.eglImage);
  SAME(Surface, list, NvBufSurface, surfaceList);
  CHECK(sizeof(nvbuf::MapParams) == sizeof(NvBufSurfaceMapParams));
  SAME(MapParams, dmabuf, NvBufSurfaceMapParams, fd);
  SAME(MapParams, total_bytes, NvBufSurfaceMapParams, totalSize);
  SAME(MapParams, memory_type, NvBufSurfaceMapParams, memType);
  SAME(MapParams, layout, NvBufSurfaceMapParams, layout);
  SAME(MapParams, color_format, NvBufSurfaceMapParams, colorFormat);
  SAME(MapParams, plane, NvBufSurfaceMapParams, planes);
  SAME(MapPlaneParams, pitch, NvBufSurfaceMapPlaneParams, pitch);
  SAME(MapPlaneParams, bytes, NvBufSurfaceMapPlaneParams, psize);
  SAME(MapPlaneParams, flags, NvBufSurfaceMapPlaneParams, flags);
  // And their functions can be called as we do.
  CHECK(sizeof(NvBufSurfaceColorFormat) == sizeof(int));
#else
  std::printf("# skipped: no nvbufsurface.h on the include path\n");
#endif
}

TEST("without Jetson's library there are no surfaces, and that is said") {
  if (nvbuf::available()) {
    std::printf("# skipped: this is a Jetson\n");
    return;
  }
  std::string code;
  try {
    nvbuf::CudaSurface::import(0, 4096);
  } catch (const Error& error) {
    code = error.code();
  }
  CHECK(code == "MEMORY_UNSUPPORTED");
}

int main() { return framebus::test::run_all(); }
