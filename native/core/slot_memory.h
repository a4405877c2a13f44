// Slots of the bus as GstMemory, so that decoders write into them.
#pragma once

#include <gst/gst.h>

#include <memory>

#include "slot_store.h"

namespace framebus {

// A GstMemory over the block; the block lives as long as the memory, however
// many buffers share it. Transfer full.
GstMemory* slot_memory_new(std::shared_ptr<SlotBlock> block);

// The block of a memory that slot_memory_new made (or that shares one as a
// whole); null for any other.
std::shared_ptr<SlotBlock> slot_memory_block(GstMemory* memory);

}  // namespace framebus
