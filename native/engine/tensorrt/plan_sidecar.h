// What a plan was built for: the JSON file that lies beside it, as PLAN.json.
#pragma once

#include <cstdint>
#include <string>

namespace framebus::tensorrt {

struct PlanSidecar {
  std::string tensorrt;            // "10.3.0"
  std::string compute_capability;  // "9.0"
  std::string gpu;                 // For people.
  std::string precision;           // That was asked for: "fp16".
  uint64_t plan_bytes = 0;
  bool version_compatible = false;
};

// What is here.
struct PlanPlatform {
  std::string tensorrt;
  std::string compute_capability;
  std::string gpu;
};

// Reads PLAN.json. Throws EngineError FB_DAMAGED.
PlanSidecar read_sidecar(const std::string& plan);

// Throws EngineError FB_WRONG_VERSION, FB_WRONG_DEVICE, or FB_DAMAGED when the plan has
// another number of bytes.
void check_sidecar(const PlanSidecar& sidecar, const PlanPlatform& platform,
                   const std::string& plan, uint64_t plan_bytes);

}  // namespace framebus::tensorrt
