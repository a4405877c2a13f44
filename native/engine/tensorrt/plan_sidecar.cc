#include "plan_sidecar.h"

#include <array>
#include <charconv>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "engine/framebus_engine.h"
#include "engine_error.h"
#include "flat_json.h"

namespace framebus::tensorrt {
namespace {

using Values = std::map<std::string, std::string, std::less<>>;
using Version = std::array<int, 3>;

const std::string& value_of(const Values& values, const char* key) {
  const auto found = values.find(key);
  if (found == values.end()) throw std::invalid_argument(std::string("it has no ") + key);
  return found->second;
}

uint64_t number_of(const Values& values, const char* key) {
  const std::string& text = value_of(values, key);
  uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || end != text.data() + text.size()) {
    throw std::invalid_argument(std::string(key) + " is no whole number");
  }
  return number;
}

// Anything else than "a.b.c" is 0.0.0, which fits nothing.
Version version_of(const std::string& text) {
  Version version{};
  std::istringstream in(text);
  char dot = '.';
  for (size_t i = 0; i < version.size(); ++i) {
    if (dot != '.' || !(in >> version[i])) return {};
    if (i + 1 < version.size()) in >> dot;
  }
  return version;
}

bool version_fits(const PlanSidecar& sidecar, const std::string& here) {
  if (sidecar.tensorrt == here) return true;
  const Version was = version_of(sidecar.tensorrt);
  const Version is = version_of(here);
  return sidecar.version_compatible && was[0] > 0 && was[0] == is[0] && was <= is;
}

PlanSidecar parse(const std::string& text) {
  const Values values = parse_flat_json(text);
  if (value_of(values, "format") != "1") throw std::invalid_argument("format is not 1");
  PlanSidecar sidecar;
  sidecar.tensorrt = value_of(values, "tensorrt");
  sidecar.compute_capability = value_of(values, "compute_capability");
  sidecar.gpu = value_of(values, "gpu");
  sidecar.precision = value_of(values, "precision");
  sidecar.plan_bytes = number_of(values, "plan_bytes");
  sidecar.version_compatible = value_of(values, "version_compatible") == "true";
  return sidecar;
}

}  // namespace

PlanSidecar read_sidecar(const std::string& plan) {
  const std::string file = plan + ".json";
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) {
    throw EngineError(FB_DAMAGED, file + ": cannot be read, and says what the plan was built for");
  }
  try {
    return parse(text.str());
  } catch (const std::invalid_argument& error) {
    throw EngineError(FB_DAMAGED, file + ": " + error.what());
  }
}

void check_sidecar(const PlanSidecar& sidecar, const PlanPlatform& platform,
                   const std::string& plan, uint64_t plan_bytes) {
  if (!version_fits(sidecar, platform.tensorrt)) {
    throw EngineError(FB_WRONG_VERSION, plan + ": built for TensorRT " + sidecar.tensorrt +
                                            ", this is " + platform.tensorrt);
  }
  if (sidecar.compute_capability != platform.compute_capability) {
    throw EngineError(FB_WRONG_DEVICE, plan + ": built for compute capability " +
                                           sidecar.compute_capability + " (" + sidecar.gpu +
                                           "), this is " + platform.compute_capability + " (" +
                                           platform.gpu + ")");
  }
  if (sidecar.plan_bytes != plan_bytes) {
    throw EngineError(FB_DAMAGED, plan + ": it has " + std::to_string(plan_bytes) +
                                      " bytes, and had " + std::to_string(sidecar.plan_bytes) +
                                      " when it was built");
  }
}

}  // namespace framebus::tensorrt
