#include "gpu_preprocess.h"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/bus_layout.h"
#include "core/cuda_device.h"
#include "core/cuda_pool_mapping.h"
#include "core/cuda_preprocess.h"
#include "core/pool_memory.h"
#include "gpu_timing.h"

namespace framebus::test {
namespace {

constexpr const char* kObject = "preprocessing";
constexpr uint32_t kSlots = 16;
constexpr uint32_t kMostBatch = 8;

// 1080p NV12 frames in a pool, as a consumer has them.
class Frames {
 public:
  Frames() {
    format_.width = 1920;
    format_.height = 1080;
    format_.pixel_format = PixelFormat::kNv12;
    format_.matrix = ColorMatrix::kBt709;
    layout_ = tight_layout(format_);
    PoolMessage message;
    message.slots = kSlots;
    message.slot_stride = round_up(layout_.slot_bytes, kPageBytes);
    memory_ = create_pool_memory({.kind = MemoryKind::kCuda,
                                  .stream_id = kObject,
                                  .slots = kSlots,
                                  .slot_stride = message.slot_stride});
    memory_->describe(message);
    mapping_ = cuda_pool_mapping(message, memory_->fds().at(0));
    std::vector<uint8_t> host(message.slot_stride);
    for (uint32_t slot = 0; slot < kSlots; ++slot) {
      for (size_t i = 0; i < host.size(); ++i) host[i] = static_cast<uint8_t>(i * 31 + slot * 7);
      memory_->write(slot, view(host.data()), layout_);
    }
  }

  // Other frames at each call, so that none is in a cache.
  std::vector<FrameView> next(uint32_t count) {
    std::vector<FrameView> some;
    for (uint32_t i = 0; i < count; ++i) {
      slot_ = (slot_ + 1) % kSlots;
      some.push_back(view(reinterpret_cast<const uint8_t*>(mapping_->device(slot_))));
    }
    return some;
  }
  // What consumers did before: a copy to host memory, then the CPU.
  void by_cpu(uint32_t count, const PreprocessSpec& spec, float* tensor) {
    for (uint32_t i = 0; i < count; ++i) {
      slot_ = (slot_ + 1) % kSlots;
      const auto host = mapping_->copy(slot_, layout_.slot_bytes);
      preprocess(view(host.get()), spec, tensor + i * tensor_size(spec));
    }
  }

 private:
  FrameView view(const uint8_t* base) const {
    FrameView view;
    view.format = format_;
    for (uint32_t plane = 0; plane < 2; ++plane) {
      view.data[plane] = base + layout_.offset[plane];
      view.stride[plane] = layout_.stride[plane];
    }
    return view;
  }

  FrameFormat format_;
  PlaneLayout layout_;
  std::unique_ptr<PoolMemory> memory_;
  std::unique_ptr<PoolMapping> mapping_;
  uint32_t slot_ = 0;
};

struct Figures {
  double device_us = 0;        // Launches without waiting.
  double device_wait_us = 0;   // Each waited for.
  double pinned_host_us = 0;   // To page-locked memory.
  double host_us = 0;          // To pageable memory.
  double download_cpu_us = 0;  // The frame to the host, then the CPU.
};

PreprocessSpec spec_of(uint32_t side) {
  PreprocessSpec spec;
  spec.width = spec.height = side;
  spec.scale = {1 / 255.0F, 1 / 255.0F, 1 / 255.0F};
  return spec;
}

// A frame's share of a batch.
Figures measure(CudaPreprocessor& preprocessor, Frames& frames, uint32_t side, uint32_t batch,
                const std::shared_ptr<const cuda::CudaDevice>& device) {
  const PreprocessSpec spec = spec_of(side);
  const size_t bytes = batch * tensor_size(spec) * sizeof(float);
  const cuda::CurrentContext current(device->context());
  const cuda::OwnStream stream(device);
  const cuda::Driver& d = cuda::driver();
  cuda::Address tensor = 0;
  void* pinned = nullptr;
  cuda::check(d.memory_alloc(&tensor, bytes), kObject, "cuMemAlloc");
  cuda::check(d.host_alloc(&pinned, bytes, 0), kObject, "cuMemHostAlloc");
  std::vector<float> plain(bytes / sizeof(float));
  const auto wait = [&] {
    cuda::check(d.stream_synchronize(stream.get()), kObject, "cuStreamSynchronize");
  };
  const auto launch = [&] {
    preprocessor.to_device(frames.next(batch), spec, tensor, stream.get());
  };
  constexpr int kRounds = 1000;
  Figures figures;
  figures.device_wait_us = each_us(kRounds, [&] {
    launch();
    wait();
  });
  figures.device_us = each_us(3,
                              [&] {
                                for (int i = 0; i < kRounds; ++i) launch();
                                wait();
                              }) /
                      kRounds;
  figures.pinned_host_us = each_us(
      200, [&] { preprocessor.to_host(frames.next(batch), spec, static_cast<float*>(pinned)); });
  figures.host_us =
      each_us(200, [&] { preprocessor.to_host(frames.next(batch), spec, plain.data()); });
  figures.download_cpu_us = each_us(50, [&] { frames.by_cpu(batch, spec, plain.data()); });
  d.host_free(pinned);
  d.memory_free(tensor);
  for (double* each : {&figures.device_us, &figures.device_wait_us, &figures.pinned_host_us,
                       &figures.host_us, &figures.download_cpu_us}) {
    *each /= batch;
  }
  return figures;
}

double ms_since(int64_t start_ns) { return static_cast<double>(monotonic_ns() - start_ns) / 1e6; }

}  // namespace

int gpu_preprocess_figures() {
  const auto device = cuda::CudaDevice::first();
  auto start = monotonic_ns();
  const cuda::Nvrtc& nvrtc = cuda::Nvrtc::of_process();
  const double load_ms = ms_since(start);
  std::string folder =
      (std::filesystem::temp_directory_path() / "framebus-kernels-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return 1;
  const cuda::KernelCache cache(folder);
  start = monotonic_ns();
  const CudaPreprocessor cold(device, nvrtc, cache);
  const double cold_ms = ms_since(start);
  start = monotonic_ns();
  CudaPreprocessor preprocessor(device, nvrtc, cache);
  const double cached_ms = ms_since(start);
  std::filesystem::remove_all(folder);
  const bool was_kept = preprocessor.description().find(" from ") != std::string::npos;
  std::printf(
      "{\"cold\":\"%s\",\"nvrtc_load_ms\":%.1f,\"kernel_cold_ms\":%.1f,"
      "\"kernel_cached_ms\":%.2f,\"us_per_frame\":{",
      cold.description().c_str(), load_ms, cold_ms, cached_ms);
  Frames frames;
  const char* comma = "";
  for (const uint32_t side : {640U, 300U}) {
    for (const uint32_t batch : {1U, 4U, kMostBatch}) {
      const Figures f = measure(preprocessor, frames, side, batch, device);
      std::printf(
          "%s\"%u_batch_%u\":{\"device\":%.2f,\"device_waited\":%.2f,\"page_locked\":%.1f,"
          "\"pageable\":%.1f,\"download_cpu\":%.1f}",
          comma, side, batch, f.device_us, f.device_wait_us, f.pinned_host_us, f.host_us,
          f.download_cpu_us);
      comma = ",";
    }
  }
  std::printf("}}\n");
  return was_kept ? 0 : 1;
}

}  // namespace framebus::test
