// Figures of a GPU that frames are handed over on.
#pragma once

#include <string>
#include <vector>

namespace framebus::test {

// A JSON object: microseconds for a 1080p NV12 frame, and for making, importing and
// mapping a pool of 16.
int gpu_copies();

// arguments: PIPELINE. A GStreamer pipeline whose last element is named "last", run to
// its end: "decoded <frames> <fps>", from its first frame to its last.
int gpu_decode_alone(const std::vector<std::string>& arguments);

}  // namespace framebus::test
