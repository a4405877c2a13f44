// One recorded file and the file with its frames' records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gst_ptr.h"
#include "recording_mp4.h"
#include "unique_fd.h"

namespace framebus {

// A picture on its way into a file.
struct RecordedFrame {
  GstPtr<GstBuffer> buffer;
  GstPtr<GstCaps> caps;
  uint64_t time_ns = 0;  // On the output's own clock.
  bool keyframe = false;
  size_t bytes = 0;
  std::string epoch;
  std::string record;  // JSON.
};

// Writes on the calling thread, a fragment at a time: first its pictures, then
// their lines, so that no line is ever without its picture. Files whose writing
// failed are cut back to what was whole. Not thread-safe.
class RecordingSegment {
 public:
  // Makes the files, and the folder if it is missing. `first`: a keyframe, not
  // added yet. Throws Error RECORDING_FAILED.
  RecordingSegment(const std::string& folder, const RecordedFrame& first, bool sidecar);
  // Leaves the files as they are; removes them when they are empty.
  ~RecordingSegment();
  RecordingSegment(const RecordingSegment&) = delete;
  RecordingSegment& operator=(const RecordingSegment&) = delete;

  // All throw Error RECORDING_FAILED; then the segment is of no use any more.
  void add(RecordedFrame frame);
  // Writes what is pending.
  void flush();
  // Writes what is pending, the index and the duration. Nothing can be added after it.
  void finish();

  const std::string& file() const { return file_; }
  const std::string& epoch() const { return epoch_; }
  const GstCaps* caps() const { return caps_.get(); }
  uint64_t first_time_ns() const { return first_time_ns_; }
  // Of video and sidecar together.
  uint64_t bytes() const { return video_.bytes + sidecar_.bytes; }
  // Of video, what is pending included.
  uint64_t video_bytes() const { return video_.bytes + pending_bytes_; }
  uint32_t fragments() const { return fragments_; }
  // Frames that are not written yet.
  bool pending() const { return !pending_.empty(); }

 private:
  struct File {
    std::string path;
    UniqueFd fd;
    uint64_t bytes = 0;  // Whole ones.
  };

  void open(const std::string& folder);
  uint64_t ticks_of(const RecordedFrame& frame) const;
  void write_pending(uint64_t next_ticks);
  std::string lines() const;
  void append(File& file, const void* data, size_t bytes);
  void cut_back() const;
  [[noreturn]] void fail(const std::string& path, const std::string& cause) const;

  // Given.
  const GstPtr<GstCaps> caps_;
  const std::string epoch_;
  const uint64_t first_time_ns_;

  // Made here.
  std::string file_;
  File video_;
  File sidecar_;  // Without a descriptor when there is none.
  size_t duration_at_ = 0;
  uint32_t fragments_ = 0;
  uint64_t frames_ = 0;  // Written.
  std::vector<RecordedFrame> pending_;
  uint64_t pending_bytes_ = 0;
  uint64_t last_duration_ticks_ = 0;  // Of the last frame written or, without one, a guess.
  uint64_t end_ticks_ = 0;
  std::vector<Mp4Seek> seeks_;
};

}  // namespace framebus
