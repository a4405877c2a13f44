#include "engine_precision.h"

#include <array>
#include <memory>

namespace framebus::tensorrt {
namespace {

struct Words {
  const char* precision;
  std::array<const char*, 3> any_of;  // In "Format/Datatype" of a layer's tensors.
};
// The narrowest counts: a plan of mixed precision is named after it.
constexpr std::array kWords{
    Words{"int8", {"Int8", "INT8", nullptr}}, Words{"fp8", {"FP8", nullptr, nullptr}},
    Words{"bf16", {"BF16", "BFloat16", nullptr}}, Words{"fp16", {"FP16", "Half", nullptr}},
    Words{"fp32", {"FP32", "Float", nullptr}}};

}  // namespace

std::string precision_of(const std::string& layers) {
  constexpr const char* kKey = "\"Format/Datatype\"";
  size_t best = kWords.size();
  for (size_t at = layers.find(kKey); at != std::string::npos; at = layers.find(kKey, at + 1)) {
    const size_t end = layers.find('\n', at);
    const std::string line = layers.substr(at, std::min(end, at + 160) - at);
    for (size_t i = 0; i < best; ++i) {
      for (const char* const word : kWords[i].any_of) {
        if (word != nullptr && line.find(word) != std::string::npos) best = i;
      }
    }
  }
  return best == kWords.size() ? "" : kWords[best].precision;
}

std::string actual_precision(const nvinfer1::ICudaEngine& engine) {
  const std::unique_ptr<nvinfer1::IEngineInspector> inspector(engine.createEngineInspector());
  if (inspector == nullptr) return "";
  const char* const layers =
      inspector->getEngineInformation(nvinfer1::LayerInformationFormat::kJSON);
  return layers == nullptr ? "" : precision_of(layers);
}

}  // namespace framebus::tensorrt
