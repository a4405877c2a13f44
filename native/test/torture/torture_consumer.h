// One consumer process of the torture: leases what it is offered, from all
// streams at once, verifies every pixel it looks at, lets go.
#pragma once

#include <cstdint>
#include <string>

#include "descriptor_feed.h"

namespace framebus::test {

struct ConsumerRole {
  std::string directory;
  uint32_t consumer = 0;
  uint64_t seed = 0;
};

// Until the referee says quit, or is gone. Returns the process's exit code.
int run_torture_consumer(const ConsumerRole& role, DescriptorFeed referee);

}  // namespace framebus::test
