#include "frame_writer.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "admission.h"
#include "error.h"
#include "slot_memory.h"
#include "source_error.h"
#include "video_caps.h"

namespace framebus {

namespace {

constexpr auto kSlotPoll = std::chrono::milliseconds(4);
constexpr auto kQueuePoll = std::chrono::milliseconds(2);
// Arrival is when the frame left the decoder; the camera saw it a network, a
// jitter buffer and a decoder earlier.
constexpr uint64_t kArrivalUncertaintyNs = 500'000'000;
// A camera whose clock is further off than this has a clock that was never set.
constexpr uint64_t kUntrustedClockNs = 10'000'000'000;
// Room for the pipeline: one frame being copied.
constexpr uint32_t kSpareSlots = 1;

std::optional<uint64_t> valid(GstClockTime time) {
  return GST_CLOCK_TIME_IS_VALID(time) ? std::optional<uint64_t>(time) : std::nullopt;
}

uint64_t nominal_ns(const FrameFormat& format) {
  if (format.frame_rate_numerator == 0) return 0;
  return uint64_t{1'000'000'000} * format.frame_rate_denominator / format.frame_rate_numerator;
}

bool on_gpu(MemoryKind kind) { return kind == MemoryKind::kCuda || kind == MemoryKind::kCudaIpc; }

FrameView view_of(const GstVideoFrame& frame, const FrameFormat& format) {
  FrameView view;
  view.format = format;
  for (uint32_t plane = 0; plane < plane_count(format.pixel_format); ++plane) {
    view.data[plane] = static_cast<const uint8_t*>(frame.data[plane]);
    view.stride[plane] = static_cast<uint32_t>(GST_VIDEO_FRAME_PLANE_STRIDE(&frame, plane));
  }
  return view;
}

// The camera's own time of a frame, once a sender report has come.
std::optional<uint64_t> ntp_unix_ns(GstBuffer* buffer) {
  constexpr uint64_t kNtpToUnixNs = uint64_t{2'208'988'800} * 1'000'000'000;
  static GstCaps* const ntp = gst_caps_new_empty_simple("timestamp/x-ntp");
  const GstReferenceTimestampMeta* meta = gst_buffer_get_reference_timestamp_meta(buffer, ntp);
  if (meta == nullptr || meta->timestamp < kNtpToUnixNs) return std::nullopt;
  return meta->timestamp - kNtpToUnixNs;
}

// Whether the planes lie in the buffer where the pool says that they lie in a slot.
bool lies_as(GstBuffer* buffer, const FramePoolOptions& pool) {
  const GstVideoMeta* meta = gst_buffer_get_video_meta(buffer);
  if (meta == nullptr) return false;
  for (uint32_t plane = 0; plane < plane_count(pool.format.pixel_format); ++plane) {
    if (meta->offset[plane] != pool.layout.offset[plane]) return false;
    if (static_cast<uint32_t>(meta->stride[plane]) != pool.layout.stride[plane]) return false;
  }
  return true;
}

}  // namespace

FrameWriter::FrameWriter(const SourceOptions& options, Hooks hooks)
    : options_(options),
      hooks_(std::move(hooks)),
      groups_(options.groups),
      mode_(options.mode),
      activity_ns_(now_monotonic_ns()) {}

void FrameWriter::begin_pass(bool live) {
  live_ = live;
  frames_in_pass_ = 0;
  played_ns_ = 0;
  activity_ns_ = now_monotonic_ns();
  clock_.begin_pass();
}

void FrameWriter::interrupt() {
  {
    const std::lock_guard lock(wait_mutex_);
    interrupted_ = true;
  }
  wait_.notify_all();
}

void FrameWriter::resume() {
  const std::lock_guard lock(wait_mutex_);
  interrupted_ = shut_;
}

void FrameWriter::shut() {
  {
    const std::lock_guard lock(wait_mutex_);
    shut_ = true;
  }
  interrupt();
}

void FrameWriter::close() {
  const std::lock_guard lock(mutex_);
  if (store_ != nullptr) old_.push_back(std::exchange(store_, nullptr)->pool());
  for (const std::shared_ptr<FramePool>& pool : old_) {
    pool->end_deliveries();
    pool->retire();
  }
  old_.clear();
}

void FrameWriter::emit(const SourceEvent& event) {
  while (!hooks_.emit(event)) {
    std::unique_lock lock(wait_mutex_);
    if (wait_.wait_for(lock, kQueuePoll, [this] { return interrupted_; })) return;
  }
}

uint64_t FrameWriter::last_activity_ns() const {
  return waiting_ ? now_monotonic_ns() : activity_ns_.load();
}

bool FrameWriter::wait_until(uint64_t monotonic) {
  const std::chrono::steady_clock::time_point until{std::chrono::nanoseconds(monotonic)};
  std::unique_lock lock(wait_mutex_);
  return !wait_.wait_until(lock, until, [this] { return interrupted_; });
}

bool FrameWriter::on_caps(const GstCaps* caps) {
  GstVideoInfo info;
  if (gst_video_info_from_caps(&info, caps) == FALSE) return false;
  const std::optional<FrameFormat> format = frame_format_of(info);
  if (!format) return false;
  info_ = info;
  format_ = *format;
  return true;
}

bool FrameWriter::on_allocation(GstQuery* query) {
  GstCaps* caps = nullptr;
  gboolean need_pool = FALSE;
  gst_query_parse_allocation(query, &caps, &need_pool);
  GstVideoInfo info;
  if (caps == nullptr || gst_video_info_from_caps(&info, caps) == FALSE) return false;
  gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, nullptr);
  // Decoders write into shared memory by themselves; what other memory there is, is written once.
  if (need_pool != FALSE && options_.memory == MemoryKind::kShm) {
    GstBufferPool* pool = slot_buffer_pool_new(this);
    // No maximum: libav refuses pools that may run dry; ours falls back to plain memory.
    gst_query_add_allocation_pool(query, pool, static_cast<guint>(info.size), 0, 0);
    gst_object_unref(pool);
  }
  return true;
}

std::shared_ptr<SlotBlock> FrameWriter::supply(const GstVideoInfo& info,
                                               const PlaneLayout& layout) {
  const std::optional<FrameFormat> format = frame_format_of(info);
  if (!format) return nullptr;
  try {
    const std::shared_ptr<SlotStore> store = store_for(*format, &layout);
    return store->block(take(*store, true));
  } catch (const Error& error) {
    hooks_.fail(error.code(), error.what());
    return nullptr;
  }
}

std::shared_ptr<SlotStore> FrameWriter::store_for(const FrameFormat& format,
                                                  const PlaneLayout* layout) {
  // Making a pool takes time, in which Node's thread must be able to ask for counts.
  const std::lock_guard making(make_mutex_);
  if (const std::shared_ptr<SlotStore> store = current()) {
    const FramePoolOptions& has = store->pool()->options();
    const bool fits =
        same_picture(has.format, format) && (layout == nullptr || has.layout == *layout);
    if (fits) return store;
  }
  FramePoolOptions options;
  options.stream_id = options_.stream_id;
  options.format = format;
  options.layout = layout != nullptr ? *layout : tight_layout(format);
  // Only shared memory is lent to the decoder.
  const bool lent = options_.memory == MemoryKind::kShm;
  options.slots = options_.slots + (lent ? hooks_.decoder().frames : 0) + kSpareSlots;
  options.capacity = options_.slots;
  options.memory = options_.memory;
  options.groups = groups();
  std::shared_ptr<SlotStore> made = SlotStore::create(FramePool::create(options));
  const std::lock_guard lock(mutex_);
  set_route(*made->pool(), options.groups);
  std::erase_if(old_, [](const std::shared_ptr<FramePool>& pool) { return pool->drained(); });
  if (store_ != nullptr) {
    store_->pool()->retire();
    old_.push_back(store_->pool());
  }
  store_ = std::move(made);
  return store_;
}

std::shared_ptr<SlotStore> FrameWriter::current() const {
  const std::lock_guard lock(mutex_);
  return store_;
}

std::optional<uint32_t> FrameWriter::take(SlotStore& store, bool for_decoder) {
  std::optional<uint32_t> slot;
  for (;;) {
    if (for_decoder && store.decoder_is_full()) break;
    const bool latest = mode_ == SourceMode::kLatest;  // May change while it waits.
    slot = store.take(latest);
    if (slot || latest || live_) break;
    waiting_ = true;
    std::unique_lock lock(wait_mutex_);
    if (wait_.wait_for(lock, kSlotPoll, [this] { return interrupted_; })) break;
  }
  if (waiting_.exchange(false)) activity_ns_ = now_monotonic_ns();
  return slot;
}

// A demuxer that finds sound before the first picture brings the beginning forward; for
// pictures it stays where it was.
const GstSegment* FrameWriter::timeline(const GstSegment* segment) {
  const bool forward = frames_in_pass_ > 1 && segment->start < timeline_.start &&
                       segment->base == timeline_.base && segment->time == timeline_.time &&
                       segment->rate == timeline_.rate;
  if (!forward) timeline_ = *segment;
  return &timeline_;
}

GstFlowReturn FrameWriter::on_buffer(GstBuffer* buffer, const GstSegment* segment) {
  uint64_t left_decoder_ns = now_monotonic_ns();
  activity_ns_ = left_decoder_ns;
  const uint64_t seq = decoded_++;
  ++frames_in_pass_;
  if (GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_CORRUPTED)) ++damaged_;
  const GstClockTime running =
      gst_segment_to_running_time(timeline(segment), GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
  const uint64_t pts =
      clock_.next(valid(running), valid(GST_BUFFER_DURATION(buffer)), nominal_ns(format_));
  if (frames_in_pass_ == 1) pass_start_ns_ = pts;
  played_ns_ = pts - pass_start_ns_;
  if (options_.realtime && !live_) {
    const uint64_t due = clock_.due(pts, left_decoder_ns);
    waiting_ = due > left_decoder_ns;
    const bool on_time = wait_until(due);
    waiting_ = false;
    if (!on_time) return GST_FLOW_FLUSHING;
    left_decoder_ns = std::max(left_decoder_ns, due);
  }
  std::optional<Written> written;
  try {
    written = write(buffer);
    if (written) announce(written->store);
  } catch (const Error& error) {
    hooks_.fail(error.code(), error.what());
    return GST_FLOW_ERROR;
  }
  if (!written) {
    ++dropped_;
    emit(DropEvent{seq});
    return GST_FLOW_OK;
  }
  ++(written->direct ? direct_ : copied_);
  FrameEvent event;
  event.epoch = announced_;
  event.slot = written->slot;
  event.seq = seq;
  event.pts_ns = pts;
  set_capture_time(buffer, event);
  event.decoded_monotonic_ns = left_decoder_ns;
  event.generation = written->store->publish(written->slot);
  emit(event);
  return GST_FLOW_OK;
}

void FrameWriter::set_capture_time(GstBuffer* buffer, FrameEvent& event) {
  if (!live_) {
    event.capture_source = CaptureSource::kFile;
    event.capture_unix_ns = clock_.file_capture_unix_ns(event.pts_ns);
    event.capture_uncertainty_ns = 0;
    return;
  }
  const uint64_t now = now_unix_ns();
  event.capture_source = CaptureSource::kArrival;
  event.capture_unix_ns = now;
  event.capture_uncertainty_ns = kArrivalUncertaintyNs;
  const std::optional<uint64_t> ntp = ntp_unix_ns(buffer);
  if (!ntp) return;
  // The way from the camera and the difference of the clocks, whatever their shares.
  const uint64_t apart = now > *ntp ? now - *ntp : *ntp - now;
  if (apart > kUntrustedClockNs) return;
  event.capture_source = CaptureSource::kRtcpSr;
  event.capture_unix_ns = *ntp;
  event.capture_uncertainty_ns = apart;
}

std::optional<FrameWriter::Written> FrameWriter::write(GstBuffer* buffer) {
  const std::shared_ptr<SlotStore> store = current();
  const std::shared_ptr<SlotBlock> block =
      gst_buffer_n_memory(buffer) == 1 ? slot_memory_block(gst_buffer_peek_memory(buffer, 0))
                                       : nullptr;
  // A decoder may show a frame twice; the second time it is published already.
  if (block != nullptr && block->slot() && block->store() == store &&
      store->writing(*block->slot()) && same_picture(store->pool()->options().format, format_) &&
      lies_as(buffer, store->pool()->options())) {
    return Written{store, *block->slot(), true};
  }
  return copy(buffer);
}

std::optional<FrameWriter::Written> FrameWriter::copy(GstBuffer* buffer) {
  const std::shared_ptr<SlotStore> store = store_for(format_, nullptr);
  const std::optional<uint32_t> slot = take(*store, false);
  if (!slot) return std::nullopt;
  try {
    fill(buffer, *store->pool(), *slot);
  } catch (...) {
    store->discard(*slot);
    throw;
  }
  return Written{store, *slot, false};
}

void FrameWriter::fill(GstBuffer* buffer, const FramePool& pool, uint32_t slot) {
  PoolMemory& memory = pool.memory();
  if (in_cuda_memory(buffer)) {
    if (cuda_copy_ == nullptr) cuda_copy_ = std::make_unique<CudaFrameCopy>();
    cuda_copy_->copy(buffer, info_, memory.device(slot), pool.options());
    return;
  }
  if (on_gpu(options_.memory)) warn_of_upload();
  GstVideoFrame frame;
  if (gst_video_frame_map(&frame, &info_, buffer, GST_MAP_READ) == FALSE)
    throw Error("SOURCE_BROKEN", "the decoder's memory cannot be read");
  const std::unique_ptr<GstVideoFrame, void (*)(GstVideoFrame*)> mapped(&frame,
                                                                        &gst_video_frame_unmap);
  memory.write(slot, view_of(frame, pool.options().format), pool.options().layout);
}

void FrameWriter::warn_of_upload() {
  if (std::exchange(warned_of_upload_, true)) return;
  const std::string decoder = hooks_.decoder().name;
  emit(WarningEvent{"NVDEC_UNAVAILABLE",
                    redact_uri(options_.uri) + ": NVDEC does not decode it here" +
                        (decoder.empty() ? "" : " (" + decoder + " does, on the CPU)") +
                        "; every frame is uploaded to the GPU"});
}

void FrameWriter::announce(const std::shared_ptr<SlotStore>& store) {
  const FramePool& pool = *store->pool();
  if (announced_ == pool.epoch()) return;
  announced_ = pool.epoch();
  hooks_.offer(store->pool());
  EpochEvent event;
  event.epoch = pool.epoch();
  event.created_unix_ns = pool.created_unix_ns();
  event.format = pool.options().format;
  event.memory = pool.options().memory;
  event.slots = pool.options().slots;
  event.decoder = hooks_.decoder().name;
  emit(event);
}

std::shared_ptr<FramePool> FrameWriter::pool_of(const std::string& epoch) const {
  const std::lock_guard lock(mutex_);
  if (store_ != nullptr && store_->pool()->epoch() == epoch) return store_->pool();
  for (const std::shared_ptr<FramePool>& pool : old_) {
    if (pool->epoch() == epoch) return pool;
  }
  return nullptr;
}

DeliveryEnd FrameWriter::end_delivery(const std::string& epoch, uint32_t slot, uint64_t generation,
                                      const std::string& group) {
  const std::shared_ptr<FramePool> pool = pool_of(epoch);
  return pool != nullptr ? pool->end_delivery(slot, generation, group) : DeliveryEnd::kGone;
}

Delivery FrameWriter::delivery(const std::string& epoch, uint32_t slot, uint64_t generation,
                               const std::string& group) {
  const std::shared_ptr<FramePool> pool = pool_of(epoch);
  return pool != nullptr ? pool->delivery(slot, generation, group) : Delivery::kGone;
}

std::vector<RouteGroup> FrameWriter::groups() const {
  const std::lock_guard lock(mutex_);
  return groups_;
}

// What changed while the pool was being made.
void FrameWriter::set_route(FramePool& pool, const std::vector<RouteGroup>& made_for) const {
  const auto has = [](const std::vector<RouteGroup>& groups, const std::string& name) {
    return std::any_of(groups.begin(), groups.end(),
                       [&](const RouteGroup& each) { return each.name == name; });
  };
  for (const RouteGroup& group : made_for) {
    if (!has(groups_, group.name)) pool.close_group(group.name);
  }
  for (const RouteGroup& group : groups_) pool.open_group(group);
}

void FrameWriter::open_group(const RouteGroup& group) {
  const std::lock_guard lock(mutex_);
  const auto known = std::find_if(groups_.begin(), groups_.end(),
                                  [&](const RouteGroup& each) { return each.name == group.name; });
  if (store_ != nullptr) {
    store_->pool()->open_group(group);
  } else {
    check_route(options_.stream_id, options_.slots, groups_, group);
  }
  if (known == groups_.end()) {
    groups_.push_back(group);
  } else {
    known->hold = std::max(known->hold, group.hold);
  }
}

void FrameWriter::close_group(const std::string& group) {
  const std::lock_guard lock(mutex_);
  std::erase_if(groups_, [&](const RouteGroup& each) { return each.name == group; });
  if (store_ != nullptr) store_->pool()->close_group(group);
  for (const std::shared_ptr<FramePool>& pool : old_) pool->close_group(group);
}

SourceStats FrameWriter::stats() const {
  SourceStats stats;
  stats.frames_decoded = decoded_;
  stats.frames_direct = direct_;
  stats.frames_copied = copied_;
  stats.frames_dropped = dropped_;
  if (const std::shared_ptr<SlotStore> store = current()) {
    const SlotCounts counts = store->pool()->counts();
    stats.slots_free = counts.free;
    stats.slots_writing = counts.writing;
    stats.slots_published = counts.published;
  }
  return stats;
}

}  // namespace framebus
