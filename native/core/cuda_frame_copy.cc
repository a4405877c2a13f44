#include "cuda_frame_copy.h"

#include <dlfcn.h>

#include <array>
#include <bit>

#include "error.h"
#include "gst_ptr.h"

namespace framebus {
namespace {

constexpr const char* kFeature = "memory:CUDAMemory";
constexpr const char* kMemoryType = "gst.cuda.memory";
constexpr const char* kLibrary = "libgstcuda-1.0.so.0";
constexpr const char* kObject = "frame from NVDEC";
// As gstcudamemory.h has it: data is a device address.
constexpr unsigned kMapCuda = static_cast<unsigned>(GST_MAP_FLAG_LAST) << 1;
constexpr unsigned kThreads = 256;

// The 8 most significant of 16 bits of each sample (P010 keeps 10 there): what
// GStreamer's videoconvert does without dithering.
constexpr const char* kNarrow = R"(
.version 6.0
.target sm_50
.address_size 64
.visible .entry narrow(.param .u64 from, .param .u64 from_stride, .param .u64 to,
                       .param .u64 to_stride, .param .u32 samples)
{
  .reg .pred %outside;
  .reg .b16 %sample;
  .reg .b32 %block, %threads, %thread, %x, %y, %samples;
  .reg .b64 %from, %from_stride, %to, %to_stride, %wide, %row;
  ld.param.u64 %from, [from];
  ld.param.u64 %from_stride, [from_stride];
  ld.param.u64 %to, [to];
  ld.param.u64 %to_stride, [to_stride];
  ld.param.u32 %samples, [samples];
  mov.u32 %block, %ctaid.x;
  mov.u32 %threads, %ntid.x;
  mov.u32 %thread, %tid.x;
  mad.lo.u32 %x, %block, %threads, %thread;
  setp.ge.u32 %outside, %x, %samples;
  @%outside bra DONE;
  mov.u32 %y, %ctaid.y;
  cvt.u64.u32 %row, %y;
  cvt.u64.u32 %wide, %x;
  mad.lo.u64 %to, %row, %to_stride, %to;
  add.u64 %to, %to, %wide;
  shl.b64 %wide, %wide, 1;
  mad.lo.u64 %from, %row, %from_stride, %from;
  add.u64 %from, %from, %wide;
  cvta.to.global.u64 %from, %from;
  cvta.to.global.u64 %to, %to;
  ld.global.u8 %sample, [%from + 1];
  st.global.u8 [%to], %sample;
DONE:
  ret;
}
)";

// What of GStreamer's CUDA library is used; null where it does not have it.
struct GstCudaLibrary {
  gboolean (*load)() = nullptr;
  GObject* (*wrap)(cuda::Context context, cuda::Device device) = nullptr;
  GstContext* (*new_context)(GObject* cuda_context) = nullptr;
  void (*sync)(GstMemory* memory) = nullptr;  // Since 1.24.
};

template <class Function>
void find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
}

const GstCudaLibrary& gst_cuda() {
  static const GstCudaLibrary found = [] {
    GstCudaLibrary library;
    // The same one that the plugin is linked with; never closed, it has GTypes.
    void* const handle = dlopen(kLibrary, RTLD_LAZY | RTLD_LOCAL);
    if (handle == nullptr) return library;
    find(handle, "gst_cuda_load_library", library.load);
    find(handle, "gst_cuda_context_new_wrapped", library.wrap);
    find(handle, "gst_context_new_cuda_context", library.new_context);
    find(handle, "gst_cuda_memory_sync", library.sync);
    return library;
  }();
  return found;
}

// A frame mapped on the device, for as long as this lives.
class MappedFrame {
 public:
  MappedFrame(GstBuffer* buffer, const GstVideoInfo& info) {
    // GStreamer's own way, a bit that the enumeration has no name for.
    const auto flags = std::bit_cast<GstMapFlags>(GST_MAP_READ | kMapCuda);
    if (gst_video_frame_map(&frame_, &info, buffer, flags) == FALSE)
      throw Error("SOURCE_BROKEN", std::string(kObject) + ": its memory cannot be read");
  }
  ~MappedFrame() { gst_video_frame_unmap(&frame_); }
  MappedFrame(const MappedFrame&) = delete;
  MappedFrame& operator=(const MappedFrame&) = delete;
  const GstVideoFrame& get() const { return frame_; }

 private:
  GstVideoFrame frame_{};
};

cuda::Address address_of(const GstVideoFrame& frame, uint32_t plane) {
  return reinterpret_cast<cuda::Address>(frame.data[plane]);
}

}  // namespace

bool in_cuda_memory(const GstCaps* caps) {
  for (guint i = 0; caps != nullptr && i < gst_caps_get_size(caps); ++i) {
    if (gst_caps_features_contains(gst_caps_get_features(caps, i), kFeature) != FALSE) return true;
  }
  return false;
}

bool in_cuda_memory(GstBuffer* buffer) {
  return gst_buffer_n_memory(buffer) > 0 &&
         gst_memory_is_type(gst_buffer_peek_memory(buffer, 0), kMemoryType) != FALSE;
}

void share_cuda_context(GstElement* pipeline, const cuda::CudaDevice& device) {
  const GstCudaLibrary& library = gst_cuda();
  if (library.load == nullptr || library.wrap == nullptr || library.new_context == nullptr) return;
  if (library.load() == FALSE) return;
  GObject* const wrapped = library.wrap(device.context(), device.device());
  if (wrapped == nullptr) return;
  GstContext* const context = library.new_context(wrapped);
  g_object_unref(wrapped);
  if (context == nullptr) return;
  gst_element_set_context(pipeline, context);
  gst_context_unref(context);
}

CudaFrameCopy::CudaFrameCopy() : device_(cuda::CudaDevice::first()) {}

CudaFrameCopy::~CudaFrameCopy() {
  // In a context of GStreamer's own it went with that.
  if (module_ == nullptr || module_context_ != device_->context()) return;
  try {
    const cuda::CurrentContext current(module_context_);
    cuda::driver().module_unload(module_);
  } catch (const Error&) {
    // The context is lost, and the module with it.
  }
}

void CudaFrameCopy::copy(GstBuffer* from, const GstVideoInfo& info, cuda::Address slot,
                         const FramePoolOptions& to) {
  for (guint i = 0; gst_cuda().sync != nullptr && i < gst_buffer_n_memory(from); ++i)
    gst_cuda().sync(gst_buffer_peek_memory(from, i));
  const MappedFrame frame(from, info);
  cuda::Context owner = nullptr;
  const cuda::Result known =
      cuda::driver().pointer_attribute(&owner, cuda::kPointerContext, address_of(frame.get(), 0));
  if (known != cuda::kSuccess || owner == nullptr) owner = device_->context();
  const cuda::CurrentContext current(owner);
  copy_planes(frame.get(), slot, to);
}

void CudaFrameCopy::copy_planes(const GstVideoFrame& from, cuda::Address slot,
                                const FramePoolOptions& to) {
  const bool wide = GST_VIDEO_FRAME_FORMAT(&from) == GST_VIDEO_FORMAT_P010_10LE;
  for (uint32_t plane = 0; plane < plane_count(to.format.pixel_format); ++plane) {
    cuda::Copy2d copy;
    copy.from_device = address_of(from, plane);
    copy.from_pitch = static_cast<size_t>(GST_VIDEO_FRAME_PLANE_STRIDE(&from, plane));
    copy.to_device = slot + to.layout.offset[plane];
    copy.to_pitch = to.layout.stride[plane];
    copy.width_bytes = plane_row_bytes(to.format, plane);
    copy.height = plane_rows(to.format, plane);
    if (wide) {
      narrow(copy.from_device, copy.from_pitch, copy.to_device, copy.to_pitch,
             static_cast<uint32_t>(copy.width_bytes), static_cast<uint32_t>(copy.height));
    } else {
      // The default stream: it comes after everything that GStreamer's streams
      // of this context, which wait for it, have been given.
      cuda::check(cuda::driver().copy_2d(&copy, nullptr), kObject, "cuMemcpy2DAsync");
    }
  }
  cuda::check(cuda::driver().stream_synchronize(nullptr), kObject, "cuStreamSynchronize");
}

void CudaFrameCopy::narrow(cuda::Address from, size_t from_stride, cuda::Address to,
                           size_t to_stride, uint32_t samples, uint32_t rows) {
  cuda::Context context = nullptr;
  cuda::check(cuda::driver().context_current(&context), kObject, "cuCtxGetCurrent");
  if (module_context_ != context) {
    cuda::check(cuda::driver().module_load(&module_, kNarrow), kObject, "cuModuleLoadData");
    module_context_ = context;
    cuda::check(cuda::driver().module_function(&narrow_, module_, "narrow"), kObject,
                "cuModuleGetFunction");
  }
  std::array<void*, 5> arguments{&from, &from_stride, &to, &to_stride, &samples};
  cuda::check(cuda::driver().launch_kernel(narrow_, (samples + kThreads - 1) / kThreads, rows, 1,
                                           kThreads, 1, 1, 0, nullptr, arguments.data(), nullptr),
              kObject, "cuLaunchKernel");
}

}  // namespace framebus
