// Memory kinds cuda and cuda-ipc, as the producer has them.
#pragma once

#include <memory>

#include "pool_memory.h"

namespace framebus {

// `cuda`: one VMM allocation on the first GPU, exported once as a descriptor;
// `cuda-ipc`: one plain allocation with a legacy IPC handle. Throws NO_SPACE,
// BUS_MEMORY, MEMORY_UNSUPPORTED.
std::unique_ptr<PoolMemory> cuda_pool_memory(const PoolMemoryOptions& options);
std::unique_ptr<PoolMemory> cuda_ipc_pool_memory(const PoolMemoryOptions& options);

}  // namespace framebus
