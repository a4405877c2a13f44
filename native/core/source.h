// One decode pipeline that fills a pool: the native side of Source in contract.ts.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "frame_pool.h"
#include "frame_writer.h"
#include "source_error.h"
#include "source_event.h"
#include "source_pipeline.h"

namespace framebus {

// Thread-safe. All work is done on a thread of its own and on GStreamer's.
class Source {
 public:
  // `emit` gets the events, from those threads, in order; false means "no room now,
  // ask again". `offer` gets every pool before its epoch is announced.
  Source(SourceOptions options, std::function<void(const std::shared_ptr<FramePool>&)> offer,
         std::function<bool(const SourceEvent&)> emit);
  // Stops, waiting for it.
  ~Source();
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  // Idempotent; without effect after stop().
  void start();
  // Waits until the pipeline is gone; no event comes afterwards. Pools live on
  // until their last lease has ended. Idempotent.
  void stop();

  DeliveryEnd end_delivery(const std::string& epoch, uint32_t slot, uint64_t generation,
                           const std::string& group) {
    return writer_.end_delivery(epoch, slot, generation, group);
  }
  Delivery delivery(const std::string& epoch, uint32_t slot, uint64_t generation,
                    const std::string& group) {
    return writer_.delivery(epoch, slot, generation, group);
  }
  void open_group(const RouteGroup& group) { writer_.open_group(group); }
  void close_group(const std::string& group) { writer_.close_group(group); }
  void set_mode(SourceMode mode) { writer_.set_mode(mode); }
  SourceStats stats() const { return writer_.stats(); }

 private:
  enum class Outcome { kEnded, kFailed, kStopped, kAgain };

  void run(const std::stop_token& stop);
  Outcome play(const std::stop_token& stop);
  // Nothing: go on.
  std::optional<Outcome> handle(GstMessage* message);
  std::optional<Outcome> handle_error(GstMessage* message);
  Outcome handle_end();
  std::optional<Outcome> check_time();
  std::optional<SourceError> writer_failure();
  Outcome fail(const SourceError& error);
  void warn(const std::string& code, const std::string& message);
  // `pending`: pictures that may still be inside the decoder.
  void warn_of_damage(uint64_t pending);
  void warn_of_early_end();

  const SourceOptions options_;
  const bool camera_;
  FrameWriter writer_;
  std::mutex pipeline_mutex_;
  std::shared_ptr<SourcePipeline> pipeline_;  // Guarded by pipeline_mutex_.
  std::mutex failure_mutex_;
  std::optional<SourceError> failure_;  // Of the writer; guarded by failure_mutex_.

  // Control thread only.
  std::optional<SourceError> damage_;
  std::string missing_;
  bool nvdec_ = true;  // Until it has failed on this source.
  uint64_t damaged_reported_ = 0;
  uint64_t warned_ns_ = 0;
  uint64_t warnings_held_back_ = 0;

  std::mutex thread_mutex_;  // Guards the next two until stopped_ is set.
  bool stopped_ = false;
  std::jthread thread_;
  std::mutex join_mutex_;
};

}  // namespace framebus
