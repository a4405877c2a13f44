// What is known of frames while the encoder has them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "access_unit.h"
#include "recording_segment.h"

namespace framebus {

// Joins the encoder's pictures with the records of their frames. Not thread-safe.
class ExpectedFrames {
 public:
  // A frame that will be pushed into the output now. Whether it is the first one of
  // another epoch.
  bool add(uint64_t seq, std::string epoch, std::string record);
  // A picture that came out, with what was said of its frame; pictures come in order.
  RecordedFrame take(const AccessUnit& unit);
  // Of the latest frame that was added.
  std::optional<uint64_t> last() const { return last_; }

 private:
  struct Expected {
    std::string epoch;
    std::string record;
  };

  std::map<uint64_t, Expected> frames_;  // By seq.
  std::string last_epoch_;
  std::optional<uint64_t> last_;
};

}  // namespace framebus
