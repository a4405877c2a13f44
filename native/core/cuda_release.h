// Leases that end when the GPU has done with them.
#pragma once

#include <memory>

#include "cuda_driver.h"
#include "lease_table.h"

namespace framebus {

// Keeps the lease until everything that `stream` has been given so far is done,
// then drops it on a thread of its own: what reads a frame on the GPU calls this
// after its last launch and lets go of the lease at once. `stream` belongs to the
// current context. Throws BUS_MEMORY; the caller then still has its lease.
//
// When the context is lost the driver calls nobody back: such leases end with
// the process, or when the producer fences it.
void release_after(cuda::Stream stream, std::shared_ptr<Lease> lease);

}  // namespace framebus
