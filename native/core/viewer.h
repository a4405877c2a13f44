// One viewer of an output: its pictures as fragmented MP4.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "access_unit.h"
#include "gst_ptr.h"
#include "mp4_stream.h"
#include "output.h"

namespace framebus {

// Called on the viewer's muxing thread (on_end: on any), must not block.
class ViewerListener {
 public:
  virtual ~ViewerListener() = default;
  // First the initialisation segment, then fragments.
  virtual void on_data(bool init, std::vector<uint8_t> data) = 0;
  // At most once, last: "slow", "closed" …
  virtual void on_end(const std::string& reason) = 0;
};

// Encodes nothing: shares the output's encoded pictures and puts each into a
// fragment. Starts at a keyframe, with time 0. Thread-safe.
class Viewer : public AccessUnitSink, public std::enable_shared_from_this<Viewer> {
 public:
  // Joins the output. Throws Error VIEWER_FAILED.
  static std::shared_ptr<Viewer> open(std::shared_ptr<Output> output,
                                      std::shared_ptr<ViewerListener> listener);
  ~Viewer() override;

  // Bytes that have reached the viewer. With too many on the way it is ended.
  void acknowledge(uint64_t bytes);
  // Leaves the output; the listener is not called again. Idempotent.
  void close();

  bool on_access_unit(const AccessUnit& unit) override;
  void on_output_end(const char* reason) override;

 private:
  Viewer(std::shared_ptr<Output> output, std::shared_ptr<ViewerListener> listener);
  void build();
  GstFlowReturn pull();
  void push(const AccessUnit& unit);
  void end(const std::string& reason);

  // Given.
  const std::shared_ptr<Output> output_;
  const std::shared_ptr<ViewerListener> listener_;
  const uint64_t limit_bytes_;

  std::atomic<uint64_t> outstanding_bytes_ = 0;
  std::atomic<bool> ended_ = false;
  std::mutex close_mutex_;
  bool closed_ = false;

  // Used on the encoder's thread.
  std::optional<uint64_t> first_time_ns_;
  // Used on the muxing thread.
  Mp4Stream stream_;

  GstPtr<GstElement> pipeline_;
  GstPtr<GstElement> source_;
  GstPtr<GstElement> sink_;
};

}  // namespace framebus
