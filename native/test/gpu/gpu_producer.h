// A source on the bus, which tells of its frames in lines.
#pragma once

#include <string>
#include <vector>

namespace framebus::test {

// arguments: FOLDER FILE MEMORY MODE [loop] [realtime]. Plays the file into pools
// of that memory and offers them as producer "gpu". On stdout:
//   epoch <epoch> <decoder>
//   frame <epoch> <slot> <generation> <seq> <published, monotonic ns>
//   end <frames> <copied>
// On stderr lines "detached <frames that it held>", "warning <text>", "error <text>",
// and each second "state <slots> <free> <published> <held by consumers>".
int gpu_producer(const std::vector<std::string>& arguments);

// arguments: FILE. Software decode into shared memory: "<seq> <Y> <U> <V>", one
// line a frame, see frame_hash.h; at last "frames <n> <decoder>".
int gpu_reference(const std::vector<std::string>& arguments);

// arguments: FILE MEMORY. Plays the file into a pool of which nobody takes
// anything, as fast as it goes: "decoded <frames> <fps> <decoder> <us a copy>".
int gpu_decode(const std::vector<std::string>& arguments);

}  // namespace framebus::test
