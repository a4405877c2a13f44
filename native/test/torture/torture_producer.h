// One producer process of the torture: publishes frames with a pattern, sees to
// their deliveries, changes its format now and then.
#pragma once

#include <cstdint>
#include <string>

#include "descriptor_feed.h"

namespace framebus::test {

struct ProducerRole {
  std::string directory;
  std::string pools;  // Start of its pools' names; nobody else's start so.
  uint32_t stream = 0;
  uint32_t life = 0;
  uint64_t seed = 0;
  uint32_t lease_deadline_ms = 0;
};

// Until the referee says quit, or is gone. Returns the process's exit code.
int run_torture_producer(const ProducerRole& role, DescriptorFeed referee);

}  // namespace framebus::test
