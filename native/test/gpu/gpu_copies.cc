#include "gpu_copies.h"

#include <gst/gst.h>

#include <cinttypes>
#include <cstdio>
#include <memory>

#include "core/bus_layout.h"
#include "core/cuda_device.h"
#include "core/cuda_pool_mapping.h"
#include "core/error.h"
#include "core/gst_ptr.h"
#include "core/monotonic.h"
#include "core/pool_memory.h"
#include "core/source_pipeline.h"
#include "gpu_timing.h"

namespace framebus::test {
namespace {

constexpr int kRounds = 1000;

FrameFormat format_1080p() {
  FrameFormat format;
  format.width = 1920;
  format.height = 1080;
  format.pixel_format = PixelFormat::kNv12;
  return format;
}

PoolMemoryOptions pool_of_16() {
  const size_t stride = round_up(tight_layout(format_1080p()).slot_bytes, kPageBytes);
  return {.kind = MemoryKind::kCuda, .stream_id = "copies", .slots = 16, .slot_stride = stride};
}

void copy_slot(const PoolMemory& pool, uint32_t from, uint32_t to) {
  const PlaneLayout layout = tight_layout(format_1080p());
  for (uint32_t plane = 0; plane < 2; ++plane) {
    cuda::Copy2d copy;
    copy.from_device = pool.device(from) + layout.offset[plane];
    copy.from_pitch = layout.stride[plane];
    copy.to_device = pool.device(to) + layout.offset[plane];
    copy.to_pitch = layout.stride[plane];
    copy.width_bytes = plane_row_bytes(format_1080p(), plane);
    copy.height = plane_rows(format_1080p(), plane);
    cuda::check(cuda::driver().copy_2d(&copy, nullptr), "copies", "cuMemcpy2DAsync");
  }
}

void synchronize() {
  cuda::check(cuda::driver().stream_synchronize(nullptr), "copies", "cuStreamSynchronize");
}

}  // namespace

int gpu_copies() {
  const auto device = cuda::CudaDevice::first();
  const cuda::CurrentContext current(device->context());
  const PoolMemoryOptions options = pool_of_16();
  const double create_us = each_us(20, [&] { create_pool_memory(options); });
  const auto pool = create_pool_memory(options);
  PoolMessage message;
  message.slots = options.slots;
  message.slot_stride = options.slot_stride;
  pool->describe(message);
  const double import_us = each_us(20, [&] { cuda_pool_mapping(message, pool->fds().at(0)); });
  const auto mapping = cuda_pool_mapping(message, pool->fds().at(0));
  const PlaneLayout layout = tight_layout(format_1080p());
  std::vector<uint8_t> host(options.slot_stride);
  FrameView view;
  view.format = format_1080p();
  for (uint32_t plane = 0; plane < 2; ++plane) {
    view.data[plane] = host.data() + layout.offset[plane];
    view.stride[plane] = layout.stride[plane];
  }
  uint32_t slot = 0;
  const auto next = [&] { return slot = (slot + 1) % options.slots; };
  const double copy_us = each_us(kRounds, [&] {
    copy_slot(*pool, 0, next());
    synchronize();
  });
  const uint64_t start = monotonic_ns();
  for (int i = 0; i < kRounds; ++i) copy_slot(*pool, 0, next());
  synchronize();
  const double batch_us = static_cast<double>(monotonic_ns() - start) / 1e3 / kRounds;
  const double upload_us = each_us(kRounds, [&] { pool->write(next(), view, layout); });
  const double download_us =
      each_us(kRounds, [&] { mapping->download(next(), layout.slot_bytes, host.data()); });
  const double read_us = each_us(kRounds, [&] { mapping->copy(next(), layout.slot_bytes); });
  std::printf(
      "{\"gpu\":\"%s\",\"pool_create_us\":%.0f,\"pool_import_us\":%.0f"
      ",\"copy_1080p_us\":%.1f,\"copy_1080p_batch_us\":%.2f"
      ",\"upload_1080p_us\":%.0f,\"download_1080p_us\":%.0f,\"read_1080p_us\":%.0f}\n",
      cuda::describe_first_device().c_str(), create_us, import_us, copy_us, batch_us, upload_us,
      download_us, read_us);
  return 0;
}

int gpu_decode_alone(const std::vector<std::string>& arguments) {
  struct Seen {
    uint64_t frames = 0;
    uint64_t first_ns = 0;
    uint64_t last_ns = 0;
  } seen;
  prepare_decoders();
  GError* error = nullptr;
  const GstPtr<GstElement> pipeline(gst_parse_launch(arguments.at(0).c_str(), &error));
  if (error != nullptr) throw Error("SOURCE_UNSUPPORTED", error->message);
  const GstPtr<GstElement> last(
      gst_bin_get_by_name(reinterpret_cast<GstBin*>(pipeline.get()), "last"));
  const GstPtr<GstPad> pad(gst_element_get_static_pad(last.get(), "sink"));
  gst_pad_add_probe(
      pad.get(), GST_PAD_PROBE_TYPE_BUFFER,
      [](GstPad*, GstPadProbeInfo*, gpointer data) {
        auto* counted = static_cast<Seen*>(data);
        counted->last_ns = monotonic_ns();
        if (counted->frames++ == 0) counted->first_ns = counted->last_ns;
        return GST_PAD_PROBE_OK;
      },
      &seen, nullptr);
  gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
  const GstPtr<GstBus> bus(gst_element_get_bus(pipeline.get()));
  const GstPtr<GstMessage> message(
      gst_bus_timed_pop_filtered(bus.get(), 60 * GST_SECOND,
                                 static_cast<GstMessageType>(GST_MESSAGE_EOS | GST_MESSAGE_ERROR)));
  gst_element_set_state(pipeline.get(), GST_STATE_NULL);
  const double seconds = static_cast<double>(seen.last_ns - seen.first_ns) / 1e9;
  std::printf("decoded %" PRIu64 " %.1f\n", seen.frames,
              static_cast<double>(seen.frames - 1) / seconds);
  return message != nullptr && GST_MESSAGE_TYPE(message.get()) == GST_MESSAGE_EOS ? 0 : 1;
}

}  // namespace framebus::test
