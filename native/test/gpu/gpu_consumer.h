// A consumer of gpu_producer's frames, in whatever namespaces it is started.
#pragma once

#include <string>
#include <vector>

namespace framebus::test {

// arguments: FOLDER WHAT [REFERENCE]. Reads gpu_producer's lines on stdin. WHAT:
//   verify  compares every frame's planes with the reference's (of gpu_reference)
//   follow  leases and lets go 150 frames as they come: how long after publishing
//   hold    leases four frames, says "holding", and when the producer is gone
//           whether they are still what they were
//   preprocess  makes a tensor on the GPU of each frame and of a part of it, one variant after
//           the other, and compares it with the CPU's of the downloaded frame
//   write   tries to write a frame through its mapping
// The last line on stdout is a JSON object, or "refused <code> <message>".
int gpu_consumer(const std::vector<std::string>& arguments);

}  // namespace framebus::test
