#include "nvbuf_surface.h"

#include <dlfcn.h>
#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>

#include "cuda_device.h"
#include "error.h"
#include "nvbuf_api.h"

namespace framebus::nvbuf {
namespace {

// A surface is a grey picture of this width: a multiple of every pitch alignment,
// so that its rows follow each other without gaps.
constexpr uint32_t kRowBytes = 4096;

uint32_t rows_for(size_t bytes) {
  return static_cast<uint32_t>((bytes + kRowBytes - 1) / kRowBytes);
}

template <class Function>
bool find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(::dlsym(library, name));
  return function != nullptr;
}

std::optional<Api> load() {
  void* const surfaces = ::dlopen("libnvbufsurface.so", RTLD_NOW | RTLD_LOCAL);
  void* const cuda = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (surfaces == nullptr || cuda == nullptr) return std::nullopt;
  Api api{};
  const bool complete = find(surfaces, "NvBufSurfaceCreate", api.create) &&
                        find(surfaces, "NvBufSurfaceDestroy", api.destroy) &&
                        find(surfaces, "NvBufSurfaceImport", api.import) &&
                        find(surfaces, "NvBufSurfaceMapEglImage", api.map_egl_image) &&
                        find(surfaces, "NvBufSurfaceUnMapEglImage", api.unmap_egl_image) &&
                        find(cuda, "cuGraphicsEGLRegisterImage", api.cuda_register) &&
                        find(cuda, "cuGraphicsResourceGetMappedEglFrame", api.cuda_frame) &&
                        find(cuda, "cuGraphicsUnregisterResource", api.cuda_unregister);
  if (!complete) return std::nullopt;  // Before JetPack 5.1: there is no import.
  return api;
}

// Loaded once and never unloaded; null where there is none.
const Api* api() {
  static const std::optional<Api> loaded = load();
  return loaded ? &*loaded : nullptr;
}

[[noreturn]] void fail(const std::string& what) {
  throw Error("BUS_MEMORY", "NVMM surface: " + what);
}

struct DestroySurface {
  void operator()(Surface* surface) const { api()->destroy(surface); }
};
using SurfacePtr = std::unique_ptr<Surface, DestroySurface>;

class ImportedSurface final : public CudaSurface {
 public:
  ImportedSurface(int fd, size_t bytes) : device_(cuda::CudaDevice::first()) {
    const cuda::CurrentContext current(device_->context());
    MapParams params;
    params.planes = 1;
    params.dmabuf = static_cast<uint64_t>(fd);
    params.plane[0].width = kRowBytes;
    params.plane[0].height = rows_for(bytes);
    params.plane[0].pitch = kRowBytes;
    params.plane[0].bytes = kRowBytes * rows_for(bytes);
    params.total_bytes = params.plane[0].bytes;
    Surface* surface = nullptr;
    if (api()->import(&surface, &params) != 0 || surface == nullptr) fail("cannot be imported");
    surface_.reset(surface);
    try {
      map(bytes);
    } catch (const Error&) {
      unmap();
      throw;
    }
  }
  ~ImportedSurface() override {
    try {
      const cuda::CurrentContext current(device_->context());
      unmap();
    } catch (const Error&) {
      // The driver has gone, and the mapping with it.
    }
  }
  ImportedSurface(const ImportedSurface&) = delete;
  ImportedSurface& operator=(const ImportedSurface&) = delete;

  uint64_t address() const override { return address_; }

 private:
  void map(size_t bytes) {
    if (api()->map_egl_image(surface_.get(), 0) != 0) fail("there is no EGL image of it");
    mapped_ = true;
    void* const image = surface_->list[0].egl_image;
    cuda::check(api()->cuda_register(&resource_, image, kRegisterReadOnly), "NVMM surface",
                "cuGraphicsEGLRegisterImage");
    EglFrame frame;
    cuda::check(api()->cuda_frame(&frame, resource_, 0, 0), "NVMM surface",
                "cuGraphicsResourceGetMappedEglFrame");
    // A tiled surface comes as an array: its bytes would be scrambled.
    const bool plain = frame.type == EglFrame::kPitch && frame.pitch == kRowBytes &&
                       size_t{frame.pitch} * frame.height >= bytes;
    if (!plain) fail("it is not laid out in rows of " + std::to_string(kRowBytes) + " bytes");
    address_ = reinterpret_cast<uint64_t>(frame.plane[0]);
  }
  void unmap() {
    if (resource_ != nullptr) api()->cuda_unregister(resource_);
    if (mapped_) api()->unmap_egl_image(surface_.get(), 0);
    resource_ = nullptr;
    mapped_ = false;
  }

  const std::shared_ptr<const cuda::CudaDevice> device_;
  SurfacePtr surface_;
  bool mapped_ = false;
  void* resource_ = nullptr;  // CUgraphicsResource; owned.
  uint64_t address_ = 0;
};

}  // namespace

bool available() { return api() != nullptr; }

std::vector<UniqueFd> create_surfaces(uint32_t count, size_t bytes) {
  std::vector<UniqueFd> made;
  for (uint32_t i = 0; i < count; ++i) {
    CreateParams params;
    params.width = kRowBytes;
    params.height = rows_for(bytes);
    Surface* surface = nullptr;
    if (api()->create(&surface, 1, &params) != 0 || surface == nullptr) {
      fail("cannot allocate " + std::to_string(bytes >> 10) +
           " KiB; NvBufSurfaceCreate says no more");
    }
    const SurfacePtr owned(surface);
    const SurfaceParams& params_of = surface->list[0];
    if (params_of.layout != kPitchLayout || params_of.plane.pitch[0] != kRowBytes ||
        params_of.plane.offset[0] != 0 || params_of.data_bytes < bytes) {
      fail("it is not laid out in rows of " + std::to_string(kRowBytes) + " bytes");
    }
    // The memory lives as long as a descriptor does; the surface around it is not needed.
    UniqueFd fd(::fcntl(static_cast<int>(params_of.dmabuf), F_DUPFD_CLOEXEC, 0));
    if (!fd) fail(std::string("cannot keep its descriptor: ") + std::strerror(errno));
    made.push_back(std::move(fd));
  }
  return made;
}

std::unique_ptr<CudaSurface> CudaSurface::import(int fd, size_t bytes) {
  if (!available()) {
    throw Error("MEMORY_UNSUPPORTED", "NVMM surface: no libnvbufsurface.so with its import here");
  }
  return std::make_unique<ImportedSurface>(fd, bytes);
}

}  // namespace framebus::nvbuf
