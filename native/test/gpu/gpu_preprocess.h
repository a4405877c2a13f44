// Preprocessing on a GPU: figures of it.
#pragma once

namespace framebus::test {

// A JSON object: milliseconds to compile the kernel and to take it from the cache;
// microseconds for a 1080p NV12 frame to a stretched RGB tensor of 640x640 and 300x300,
// in batches of 1, 4 and 8: on the device, to host memory, and by the CPU after a copy.
int gpu_preprocess_figures();

}  // namespace framebus::test
