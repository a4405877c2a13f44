#include "tiler.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "error.h"
#include "monotonic.h"

namespace framebus {
namespace {

using Clock = std::chrono::steady_clock;

TilerOptions checked(const Output& output, TilerOptions options) {
  const auto refuse = [&output](const std::string& cause) {
    throw Error("BAD_OPTIONS", "tiles " + output.options().stream_id + ": " + cause);
  };
  if (options.fps == 0) refuse("fps must be at least 1");
  if (output.picture_format().range != ColorRange::kLimited) refuse("range must be limited");
  return options;
}

GstPtr<GstBuffer> whole_picture(const FrameFormat& format) {
  const GstVideoInfo info = video_info_of(format);
  return GstPtr<GstBuffer>(gst_buffer_new_allocate(nullptr, info.size, nullptr));
}

}  // namespace

Tiler::Tiler(std::shared_ptr<Output> output, TilerOptions options)
    : output_(std::move(output)),
      options_(checked(*output_, options)),
      pool_(output_->picture_format()),
      whole_(whole_picture(output_->picture_format())),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

Tiler::~Tiler() { close(); }

void Tiler::show(const std::string& name, std::shared_ptr<Output> source) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(members_.begin(), members_.end(),
                                  [&name](const Member& member) { return member.name == name; });
  if (found == members_.end()) {
    members_.push_back({name, std::move(source)});
  } else {
    std::swap(found->source, source);
  }
}

void Tiler::close() {
  const std::lock_guard closing(close_mutex_);
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void Tiler::run(const std::stop_token& stop) {
  const auto step = std::chrono::nanoseconds(1'000'000'000 / options_.fps);
  Clock::time_point due = Clock::now();
  while (!stop.stop_requested()) {
    try {
      push_picture();
    } catch (const Error& error) {
      // Closed first, as outputs are when they have failed.
      if (std::string_view(error.code()) != "OUTPUT_CLOSED") output_->fail(error);
      return;
    }
    due += step;
    for (const auto now = Clock::now(); due <= now; due += step) ++skipped_;
    std::unique_lock lock(mutex_);
    wake_.wait_until(lock, stop, due, [] { return false; });
  }
}

void Tiler::push_picture() {
  const int64_t now_ns = monotonic_ns();
  const bool everything = adopt();
  const FrameFormat& format = output_->picture_format();
  GstPtr<GstBuffer> picture;
  {
    PictureMap map(whole_.get(), format, GST_MAP_READWRITE);
    const MutableFrame whole = map.pixels();
    if (everything) {
      const Canvas canvas(whole);
      canvas.fill({0, 0, canvas.width(), canvas.height()}, canvas.color(0));
    }
    const TileGrid grid(static_cast<uint32_t>(tiles_.size()), options_.columns, format.width,
                        format.height);
    for (uint32_t cell = 0; cell < tiles_.size(); ++cell) {
      tiles_[cell].look(now_ns, int64_t{options_.stale_ms} * 1'000'000);
      tiles_[cell].paint(whole, grid.place(cell), everything, labels_);
    }
    picture = pool_.copy(map.view());
  }
  if (output_->push(std::move(picture), next_seq_++, now_ns) == Output::Push::kFull) ++skipped_;
}

// Follows what was asked for meanwhile. True where the cells have other places now.
bool Tiler::adopt() {
  std::vector<Member> members;
  {
    const std::lock_guard lock(mutex_);
    members = members_;
  }
  const bool first = next_seq_ == 0;
  const size_t before = tiles_.size();
  for (size_t i = before; i < members.size(); ++i) tiles_.emplace_back(members[i].name);
  for (size_t i = 0; i < members.size(); ++i) tiles_[i].follow(std::move(members[i].source));
  return first || tiles_.size() != before;
}

}  // namespace framebus
