#include "slot_memory.h"

#include <memory>
#include <utility>

namespace {

using framebus::SlotBlock;

struct SlotMemory {
  GstMemory parent;
  std::shared_ptr<SlotBlock> block;
};

struct FramebusSlotAllocator {
  GstAllocator parent;
};
struct FramebusSlotAllocatorClass {
  GstAllocatorClass parent_class;
};

constexpr const char* kMemoryType = "FramebusSlot";
constexpr gsize kAlign = 63;

// GObject's macro declares what it may not use.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wvolatile"
G_DEFINE_TYPE(FramebusSlotAllocator, framebus_slot_allocator, GST_TYPE_ALLOCATOR)
#pragma GCC diagnostic pop

SlotMemory* slot_memory(GstMemory* memory) { return reinterpret_cast<SlotMemory*>(memory); }

GstAllocator* allocator() {
  // Lives as long as the process, like GStreamer's own allocators.
  static GstAllocator* const instance = [] {
    auto* made = static_cast<GstAllocator*>(
        g_object_ref_sink(g_object_new(framebus_slot_allocator_get_type(), nullptr)));
    GST_OBJECT_FLAG_SET(made, GST_ALLOCATOR_FLAG_CUSTOM_ALLOC);
    GST_OBJECT_FLAG_SET(made, GST_OBJECT_FLAG_MAY_BE_LEAKED);
    made->mem_type = kMemoryType;
    return made;
  }();
  return instance;
}

GstMemory* make(std::shared_ptr<SlotBlock> block, GstMemory* parent, gsize maxsize, gsize offset,
                gsize size) {
  auto memory = std::make_unique<SlotMemory>();
  memory->block = std::move(block);
  gst_memory_init(&memory->parent, GstMemoryFlags{}, allocator(), parent, maxsize, kAlign, offset,
                  size);
  return &memory.release()->parent;
}

gpointer map_slot(GstMemory* memory, gsize, GstMapFlags) {
  return slot_memory(memory)->block->data();
}

void unmap_slot(GstMemory*) {}

GstMemory* share_slot(GstMemory* memory, gssize offset, gssize size) {
  GstMemory* parent = memory->parent != nullptr ? memory->parent : memory;
  const gsize from = memory->offset + static_cast<gsize>(offset);
  const gsize bytes =
      size == -1 ? memory->size - static_cast<gsize>(offset) : static_cast<gsize>(size);
  return make(slot_memory(memory)->block, parent, memory->maxsize, from, bytes);
}

// libav keeps its reference frames mapped for writing, and GStreamer copies
// memory in that state when the frame is pushed. A pushed frame is complete and
// only read from then on, so an alias does, and the frame stays uncopied.
GstMemory* alias_slot(GstMemory* memory, gssize offset, gssize size) {
  const gsize from = memory->offset + static_cast<gsize>(offset);
  const gsize bytes =
      size == -1 ? memory->size - static_cast<gsize>(offset) : static_cast<gsize>(size);
  return make(slot_memory(memory)->block, nullptr, memory->maxsize, from, bytes);
}

gboolean never_span(GstMemory*, GstMemory*, gsize*) { return FALSE; }

void framebus_slot_allocator_init(FramebusSlotAllocator* self) {
  GstAllocator* base = &self->parent;
  base->mem_map = map_slot;
  base->mem_unmap = unmap_slot;
  base->mem_share = share_slot;
  base->mem_copy = alias_slot;
  base->mem_is_span = never_span;
}

void framebus_slot_allocator_class_init(FramebusSlotAllocatorClass* klass) {
  klass->parent_class.alloc = nullptr;
  klass->parent_class.free = [](GstAllocator*, GstMemory* memory) {
    const std::unique_ptr<SlotMemory> owned(slot_memory(memory));
  };
}

}  // namespace

namespace framebus {

GstMemory* slot_memory_new(std::shared_ptr<SlotBlock> block) {
  const gsize bytes = block->bytes();
  return make(std::move(block), nullptr, bytes, 0, bytes);
}

std::shared_ptr<SlotBlock> slot_memory_block(GstMemory* memory) {
  if (memory == nullptr || gst_memory_is_type(memory, kMemoryType) == FALSE) return nullptr;
  if (memory->offset != 0) return nullptr;
  return slot_memory(memory)->block;
}

}  // namespace framebus
