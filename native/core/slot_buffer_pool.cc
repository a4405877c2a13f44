#include "slot_buffer_pool.h"

#include <memory>
#include <utility>

#include "slot_memory.h"

namespace {

using framebus::PlaneLayout;
using framebus::SlotBlock;
using framebus::SlotSupplier;

struct FramebusSlotBufferPool {
  GstBufferPool parent;
  SlotSupplier* supplier;  // Borrowed.
  GstVideoInfo info;       // As configured, with the decoder's alignment.
  PlaneLayout layout;
};
struct FramebusSlotBufferPoolClass {
  GstBufferPoolClass parent_class;
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wvolatile"
G_DEFINE_TYPE(FramebusSlotBufferPool, framebus_slot_buffer_pool, GST_TYPE_BUFFER_POOL)
#pragma GCC diagnostic pop

FramebusSlotBufferPool* self_of(GstBufferPool* pool) {
  return reinterpret_cast<FramebusSlotBufferPool*>(pool);
}

GstBufferPoolClass* parent_class() {
  return static_cast<GstBufferPoolClass*>(framebus_slot_buffer_pool_parent_class);
}

const gchar** pool_options(GstBufferPool*) {
  static const gchar* options[] = {GST_BUFFER_POOL_OPTION_VIDEO_META,
                                   GST_BUFFER_POOL_OPTION_VIDEO_ALIGNMENT, nullptr};
  return options;
}

gboolean configure(GstBufferPool* pool, GstStructure* config) {
  FramebusSlotBufferPool* self = self_of(pool);
  GstCaps* caps = nullptr;
  guint size = 0;
  guint min = 0;
  guint max = 0;
  if (gst_buffer_pool_config_get_params(config, &caps, &size, &min, &max) == FALSE ||
      caps == nullptr)
    return FALSE;
  GstVideoInfo info;
  if (gst_video_info_from_caps(&info, caps) == FALSE) return FALSE;
  if (gst_buffer_pool_config_has_option(config, GST_BUFFER_POOL_OPTION_VIDEO_ALIGNMENT) != FALSE) {
    GstVideoAlignment align;
    gst_buffer_pool_config_get_video_alignment(config, &align);
    if (gst_video_info_align(&info, &align) == FALSE) return FALSE;
    gst_buffer_pool_config_set_video_alignment(config, &align);
  }
  self->info = info;
  self->layout = framebus::layout_of(info);
  gst_buffer_pool_config_set_params(config, caps, static_cast<guint>(info.size), min, max);
  return parent_class()->set_config(pool, config);
}

GstFlowReturn acquire(GstBufferPool* pool, GstBuffer** buffer, GstBufferPoolAcquireParams*) {
  FramebusSlotBufferPool* self = self_of(pool);
  if (GST_BUFFER_POOL_IS_FLUSHING(pool)) return GST_FLOW_FLUSHING;
  std::shared_ptr<SlotBlock> block = self->supplier->supply(self->info, self->layout);
  if (block == nullptr) return GST_FLOW_FLUSHING;
  *buffer = gst_buffer_new();
  GstMemory* memory = framebus::slot_memory_new(std::move(block));
  // Decoders compare the size with the format's; what follows is padding.
  gst_memory_resize(memory, 0, self->info.size);
  gst_buffer_append_memory(*buffer, memory);
  gst_buffer_add_video_meta_full(
      *buffer, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_INFO_FORMAT(&self->info),
      static_cast<guint>(GST_VIDEO_INFO_WIDTH(&self->info)),
      static_cast<guint>(GST_VIDEO_INFO_HEIGHT(&self->info)), GST_VIDEO_INFO_N_PLANES(&self->info),
      self->info.offset, self->info.stride);
  return GST_FLOW_OK;
}

void framebus_slot_buffer_pool_init(FramebusSlotBufferPool* self) {
  gst_video_info_init(&self->info);
}

void framebus_slot_buffer_pool_class_init(FramebusSlotBufferPoolClass* klass) {
  GstBufferPoolClass* base = &klass->parent_class;
  base->get_options = pool_options;
  base->set_config = configure;
  // Nothing is kept in the GstBufferPool itself: slots are FramePool's affair.
  base->start = [](GstBufferPool*) -> gboolean { return TRUE; };
  base->stop = [](GstBufferPool*) -> gboolean { return TRUE; };
  base->acquire_buffer = acquire;
  base->reset_buffer = [](GstBufferPool*, GstBuffer*) {};
  base->release_buffer = [](GstBufferPool*, GstBuffer* buffer) { gst_buffer_unref(buffer); };
}

}  // namespace

namespace framebus {

GstBufferPool* slot_buffer_pool_new(SlotSupplier* supplier) {
  auto* pool = static_cast<GstBufferPool*>(
      g_object_ref_sink(g_object_new(framebus_slot_buffer_pool_get_type(), nullptr)));
  self_of(pool)->supplier = supplier;
  return pool;
}

PlaneLayout layout_of(const GstVideoInfo& info) {
  PlaneLayout layout;
  for (guint plane = 0; plane < GST_VIDEO_INFO_N_PLANES(&info) && plane < kMaxPlanes; ++plane) {
    layout.offset[plane] = static_cast<uint32_t>(info.offset[plane]);
    layout.stride[plane] = static_cast<uint32_t>(info.stride[plane]);
  }
  // Decoders read a little past the last row.
  constexpr uint32_t kSlack = 64;
  layout.slot_bytes = static_cast<uint32_t>(info.size) + kSlack;
  return layout;
}

}  // namespace framebus
