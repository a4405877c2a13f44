// Leases by number, so that every worker thread of a process can reach them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "frame_read.h"
#include "frame_view.h"

namespace framebus {

// One leased frame. Whoever needs its pixels keeps the shared_ptr; the lease
// ends in shared memory when the last one is dropped, on whatever thread.
class Lease {
 public:
  virtual ~Lease() = default;
  virtual const FrameFormat& format() const = 0;
  // The planes for the CPU, to read and never to write. May wait for a copy
  // from a device: not on Node's thread. Throws BUS_MEMORY.
  virtual FrameRead read() const = 0;
  // The planes for the GPU: addresses (CUdeviceptr) in the places of pointers.
  // Null pointers when the frame does not lie on a GPU.
  virtual FrameView device() const { return {}; }
  // Whether the slot still holds the leased generation. Ask again after use:
  // false means that the pixels may have been overwritten meanwhile.
  virtual bool valid() const = 0;
};

// Thread-safe. JavaScript's FrameLease keeps its entry until release().
class LeaseTable {
 public:
  // Numbers start at 1 and are never used again; they fit a JavaScript number.
  uint64_t add(std::shared_ptr<Lease> lease);
  // Null when the number is unknown or its lease was released.
  std::shared_ptr<Lease> find(uint64_t id) const;
  // Drops the table's reference; unknown numbers are ignored.
  void remove(uint64_t id);
  size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, std::shared_ptr<Lease>> leases_;
  uint64_t last_id_ = 0;
};

// The process's table.
LeaseTable& lease_table();

}  // namespace framebus
