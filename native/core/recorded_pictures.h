// Reads the encoded pictures of a recorded file.
#pragma once

#include <atomic>
#include <string>

#include "gst_ptr.h"

namespace framebus {

// Used by one thread.
class RecordedPictures {
 public:
  // Throws Error JOIN_FAILED.
  explicit RecordedPictures(const std::string& file);
  ~RecordedPictures();
  RecordedPictures(const RecordedPictures&) = delete;
  RecordedPictures& operator=(const RecordedPictures&) = delete;

  // The next picture with its caps; null at the end, or when `cancelled`. Throws Error JOIN_FAILED.
  GstPtr<GstSample> next(const std::atomic<bool>& cancelled);

 private:
  void check() const;

  const std::string file_;
  GstPtr<GstElement> pipeline_;
  GstElement* sink_ = nullptr;  // Borrowed from the pipeline.
};

}  // namespace framebus
