#include "expected_frames.h"

#include <utility>

namespace framebus {
namespace {

// More frames than any encoder holds; older ones never came out.
constexpr size_t kMost = 1024;

}  // namespace

bool ExpectedFrames::add(uint64_t seq, std::string epoch, std::string record) {
  if (frames_.size() >= kMost) frames_.erase(frames_.begin());
  const bool same = last_epoch_ == epoch || last_epoch_.empty();
  last_epoch_ = epoch;
  last_ = seq;
  frames_.insert_or_assign(seq, Expected{std::move(epoch), std::move(record)});
  return !same;
}

RecordedFrame ExpectedFrames::take(const AccessUnit& unit) {
  RecordedFrame frame{.buffer = share(unit.buffer),
                      .caps = share(unit.caps),
                      .time_ns = unit.time_ns,
                      .keyframe = unit.keyframe,
                      .bytes = unit.bytes,
                      .epoch = {},
                      .record = "null"};
  const auto found = frames_.find(unit.seq);
  if (found != frames_.end()) {
    frame.epoch = std::move(found->second.epoch);
    frame.record = std::move(found->second.record);
  }
  frames_.erase(frames_.begin(), frames_.upper_bound(unit.seq));
  return frame;
}

}  // namespace framebus
