// Decoded frames into slots: gives the decoder its memory, publishes what comes out.
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cuda_frame_copy.h"
#include "frame_clock.h"
#include "frame_pool.h"
#include "slot_buffer_pool.h"
#include "slot_sink.h"
#include "slot_store.h"
#include "source_event.h"

namespace framebus {

// The decoder as far as it is known when it asks for memory.
struct DecoderInfo {
  std::string name;
  uint32_t frames = 0;  // That it keeps for itself, see decoder_frames().
};

// Thread-safe. Streaming threads call it as FrameReceiver and SlotSupplier.
class FrameWriter final : public FrameReceiver, public SlotSupplier {
 public:
  struct Hooks {
    // Makes a pool known to consumers, before its epoch is announced.
    std::function<void(const std::shared_ptr<FramePool>&)> offer;
    // False when the listener's queue is full; it is asked again.
    std::function<bool(const SourceEvent&)> emit;
    std::function<DecoderInfo()> decoder;
    // No pool can be made: the source is over.
    std::function<void(const std::string& code, const std::string& message)> fail;
  };

  FrameWriter(const SourceOptions& options, Hooks hooks);

  // Before each time that the file is played; `live`: cameras.
  void begin_pass(bool live);
  // Ends all waiting, now and until resume().
  void interrupt();
  void resume();
  // Ends all waiting for good.
  void shut();
  // No more leases on any pool.
  void close();

  // Waits for room in the listener's queue, unless interrupted.
  void emit(const SourceEvent& event);

  DeliveryEnd end_delivery(const std::string& epoch, uint32_t slot, uint64_t generation,
                           const std::string& group);
  Delivery delivery(const std::string& epoch, uint32_t slot, uint64_t generation,
                    const std::string& group);
  // See Source of contract.ts; a group is kept for later pools.
  void open_group(const RouteGroup& group);
  void close_group(const std::string& group);
  void set_mode(SourceMode mode) { mode_ = mode; }
  SourceStats stats() const;
  uint64_t frames_in_pass() const { return frames_in_pass_; }
  // From the first to the last frame of this pass.
  uint64_t played_in_pass_ns() const { return played_ns_; }
  uint64_t damaged() const { return damaged_; }
  // When something last came from the decoder; never while it waits for a slot.
  uint64_t last_activity_ns() const;

  bool on_caps(const GstCaps* caps) override;
  bool on_allocation(GstQuery* query) override;
  GstFlowReturn on_buffer(GstBuffer* buffer, const GstSegment* segment) override;
  std::shared_ptr<SlotBlock> supply(const GstVideoInfo& info, const PlaneLayout& layout) override;

 private:
  struct Written {
    std::shared_ptr<SlotStore> store;
    uint32_t slot = 0;
    bool direct = false;
  };

  std::shared_ptr<SlotStore> store_for(const FrameFormat& format, const PlaneLayout* layout);
  std::shared_ptr<SlotStore> current() const;
  std::vector<RouteGroup> groups() const;
  void set_route(FramePool& pool, const std::vector<RouteGroup>& made_for) const;
  std::shared_ptr<FramePool> pool_of(const std::string& epoch) const;
  std::optional<uint32_t> take(SlotStore& store, bool for_decoder);
  const GstSegment* timeline(const GstSegment* segment);
  std::optional<Written> write(GstBuffer* buffer);
  std::optional<Written> copy(GstBuffer* buffer);
  void fill(GstBuffer* buffer, const FramePool& pool, uint32_t slot);
  void warn_of_upload();
  void set_capture_time(GstBuffer* buffer, FrameEvent& event);
  void announce(const std::shared_ptr<SlotStore>& store);
  bool wait_until(uint64_t monotonic);

  const SourceOptions options_;
  const Hooks hooks_;

  std::mutex make_mutex_;     // One pool is made at a time.
  mutable std::mutex mutex_;  // Guards the stores and the groups.
  std::shared_ptr<SlotStore> store_;
  std::vector<std::shared_ptr<FramePool>> old_;  // Retired, with frames still to be taken.
  std::vector<RouteGroup> groups_;
  std::atomic<SourceMode> mode_;

  std::mutex wait_mutex_;
  std::condition_variable wait_;
  bool interrupted_ = false;  // Guarded by wait_mutex_, as is shut_.
  bool shut_ = false;

  // Streaming thread only.
  GstVideoInfo info_{};
  FrameFormat format_;
  GstSegment timeline_{};  // That of the latest frame.
  FrameClock clock_;
  uint64_t pass_start_ns_ = 0;
  std::string announced_;                     // Epoch.
  std::unique_ptr<CudaFrameCopy> cuda_copy_;  // Made for the first frame in CUDA memory.
  bool warned_of_upload_ = false;

  std::atomic<bool> live_ = false;
  std::atomic<bool> waiting_ = false;
  std::atomic<uint64_t> activity_ns_ = 0;
  std::atomic<uint64_t> frames_in_pass_ = 0;
  std::atomic<uint64_t> played_ns_ = 0;
  std::atomic<uint64_t> decoded_ = 0;
  std::atomic<uint64_t> direct_ = 0;
  std::atomic<uint64_t> copied_ = 0;
  std::atomic<uint64_t> dropped_ = 0;
  std::atomic<uint64_t> damaged_ = 0;
};

}  // namespace framebus
