// The GStreamer pipeline of a source: opens a URI, decodes its video into a sink.
#pragma once

#include <gst/gst.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "cuda_device.h"
#include "frame_writer.h"
#include "gst_ptr.h"
#include "slot_sink.h"
#include "source_event.h"

namespace framebus {

using Message = GstPtr<GstMessage>;

// Initialises GStreamer with this project's preferences among decoders, once a process.
void prepare_decoders();

// Owned and driven by one thread; decoder() and wake() may be called by any.
class SourcePipeline {
 public:
  // The receiver (the sink's) must outlive the pipeline. Throws SOURCE_UNSUPPORTED
  // when an element is missing. `nvdec`: prefers NVDEC and takes what it decodes
  // in CUDA memory; otherwise NVDEC is not used for memory of a GPU.
  SourcePipeline(const SourceOptions& options, FrameReceiver* receiver, bool nvdec = true);
  ~SourcePipeline();
  SourcePipeline(const SourcePipeline&) = delete;
  SourcePipeline& operator=(const SourcePipeline&) = delete;

  void play();
  // To NULL: when it returns, no streaming thread is left. Idempotent.
  void stop();
  // The next message, or null after the timeout or a wake().
  Message next_message(GstClockTime timeout);
  void wake();

  DecoderInfo decoder() const;
  // Whether NVDEC decodes.
  bool uses_nvdec() const;
  // Whether a decoder has been found for the source's video.
  bool has_video() const { return has_video_; }
  // Pictures that went into the decoder and are to be shown. Zero for interlaced
  // video, where two fields may be one picture or two.
  uint64_t pictures() const { return pictures_; }
  // What the source says of its length.
  std::optional<uint64_t> duration_ns() const;

 private:
  static void on_element(GstBin* bin, GstBin* sub, GstElement* element, SourcePipeline* self);
  GstElement* from_nvmm();
  static void on_pad(GstElement* bin, GstPad* pad, SourcePipeline* self);
  static void on_no_more_pads(GstElement* bin, SourcePipeline* self);
  static GValueArray* sort_decoders(GstElement* bin, GstPad* pad, GstCaps* caps,
                                    GValueArray* factories, SourcePipeline* self);
  static void on_source(GstElement* bin, GstElement* source, SourcePipeline* self);
  static GstPadProbeReturn on_picture(GstPad* pad, GstPadProbeInfo* info, gpointer self);
  void set_up_decoder(GstElement* element);

  const SourceOptions options_;
  const bool nvdec_;
  std::shared_ptr<const cuda::CudaDevice> device_;  // With nvdec_; outlives the pipeline.
  GstPtr<GstElement> pipeline_;
  GstPtr<GstBus> bus_;
  GstElement* convert_ = nullptr;  // Borrowed from the pipeline, as is sink_.
  GstElement* sink_ = nullptr;
  std::atomic<bool> has_video_ = false;
  std::atomic<uint64_t> pictures_ = 0;
  mutable std::mutex mutex_;
  GstPtr<GstElement> decoder_;  // Guarded by mutex_.
};

// What on_no_more_pads posts when there is no video among the streams.
constexpr const char* kNoVideoMessage = "framebus-no-video";

}  // namespace framebus
