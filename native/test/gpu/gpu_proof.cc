// The parts of the proof on a machine with an NVIDIA GPU: see scripts/gpu.mjs.
#include <cstdio>
#include <string>
#include <vector>

#include "gpu_consumer.h"
#include "gpu_copies.h"
#include "gpu_preprocess.h"
#include "gpu_producer.h"

int main(int argc, char** argv) {
  using namespace framebus::test;
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const std::string command = arguments.empty() ? "" : arguments.front();
  if (!arguments.empty()) arguments.erase(arguments.begin());
  if (command == "produce") return gpu_producer(arguments);
  if (command == "consume") return gpu_consumer(arguments);
  if (command == "reference") return gpu_reference(arguments);
  if (command == "decode") return gpu_decode(arguments);
  if (command == "decode-alone") return gpu_decode_alone(arguments);
  if (command == "copies") return gpu_copies();
  if (command == "preprocess-figures") return gpu_preprocess_figures();
  std::fprintf(stderr,
               "produce, consume, reference, decode, decode-alone, copies or preprocess-figures\n");
  return 2;
}
