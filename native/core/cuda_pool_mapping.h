// Memory kinds cuda and cuda-ipc, as a consumer has them.
#pragma once

#include <memory>

#include "bus_message.h"
#include "pool_mapping.h"

namespace framebus {

// `cuda`: imports the descriptor (borrowed) and maps it to be read only.
// Nothing that the message says is trusted beyond what the memory is.
// Throws BUS_MEMORY, MEMORY_UNSUPPORTED.
std::unique_ptr<PoolMapping> cuda_pool_mapping(const PoolMessage& message, int fd);

// `cuda-ipc`: opens the handle; works only inside the producer's pid namespace,
// and the driver has no read-only mapping of this kind. Throws as above.
std::unique_ptr<PoolMapping> cuda_ipc_pool_mapping(const PoolMessage& message);

}  // namespace framebus
