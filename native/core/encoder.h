// Raw pictures -> H.264 or H.265, in a GStreamer pipeline of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "access_unit.h"
#include "encode_options.h"
#include "encoder_choice.h"
#include "frame_view.h"
#include "gst_ptr.h"

namespace framebus {

struct EncoderOptions {
  std::string name;    // Of the output, for messages.
  FrameFormat format;  // Even sizes.
  EncodeOptions encode;
};

// appsrc ! [converter !] encoder ! parser ! appsink. No B-frames: what goes in comes
// out in order and at once.
class Encoder {
 public:
  // Called on the encoder's thread, in order.
  using OnUnit = std::function<void(const AccessUnit&)>;
  // Called at most once, on any thread; nothing is encoded after it.
  using OnError = std::function<void(const std::string& message)>;

  // Throws Error ENCODER_MISSING, ENCODER_FAILED (an element is missing or does not
  // start) and BAD_OPTIONS (what the encoder does not take).
  Encoder(EncoderOptions options, OnUnit on_unit, OnError on_error);
  ~Encoder();
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  // Encodes a picture. `time_ns` is strictly increasing. Waits while the
  // encoder is behind; false when it has stopped.
  bool push(GstPtr<GstBuffer> picture, uint64_t time_ns, uint64_t seq, int64_t pts_ns);
  // The picture with that time, not pushed yet, becomes a keyframe.
  void force_keyframe(uint64_t time_ns);
  // Encodes what was pushed, then stops; gives up after a deadline. Not from
  // within a callback.
  void drain();
  // Pictures that were pushed and never came out; each is told once.
  std::vector<uint64_t> take_unfinished();
  // Stops at once; a waiting push returns. Idempotent; not from within a callback.
  void stop();

 private:
  // What is known of a picture that is being encoded.
  struct Pending {
    uint64_t time_ns;
    uint64_t seq;
    int64_t pts_ns;
  };

  void build();
  std::vector<GstPtr<GstElement>> chain(const GstCaps* raw);
  void listen();
  GstFlowReturn pull(GstElement* appsink);
  bool take_pending(uint64_t time_ns, Pending* found);
  void fail(const std::string& message);

  // Given.
  const EncoderOptions options_;
  const EncoderChoice choice_;
  const OnUnit on_unit_;
  const OnError on_error_;

  // Made here.
  std::mutex mutex_;
  std::deque<Pending> pending_;
  std::atomic<bool> failed_ = false;
  std::atomic<bool> stopped_ = false;
  GstPtr<GstElement> pipeline_;
  GstPtr<GstElement> source_;
  GstPtr<GstElement> encoder_;
  GstPtr<GstElement> sink_;
};

}  // namespace framebus
