#include "lease_table.h"

#include <utility>

namespace framebus {

uint64_t LeaseTable::add(std::shared_ptr<Lease> lease) {
  const std::lock_guard lock(mutex_);
  const uint64_t id = ++last_id_;
  leases_.emplace(id, std::move(lease));
  return id;
}

std::shared_ptr<Lease> LeaseTable::find(uint64_t id) const {
  const std::lock_guard lock(mutex_);
  const auto found = leases_.find(id);
  return found == leases_.end() ? nullptr : found->second;
}

void LeaseTable::remove(uint64_t id) {
  std::shared_ptr<Lease> dropped;  // Ends outside the lock.
  const std::lock_guard lock(mutex_);
  const auto found = leases_.find(id);
  if (found == leases_.end()) return;
  dropped = std::move(found->second);
  leases_.erase(found);
}

size_t LeaseTable::size() const {
  const std::lock_guard lock(mutex_);
  return leases_.size();
}

LeaseTable& lease_table() {
  // Never destroyed: worker threads may still drop leases while the process exits.
  static LeaseTable* const table = std::make_unique<LeaseTable>().release();
  return *table;
}

}  // namespace framebus
