// Decoding into slots: counts, pixels, times, who holds a slot and for how long.
#include "core/source.h"

#include <dirent.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "core/bus_layout.h"
#include "test/check.h"
#include "test/source_clip.h"
#include "test/source_player.h"

namespace framebus::test {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

std::string pixels(const FramePoolOptions& pool, const uint8_t* data) {
  std::string bytes;
  for (uint32_t plane = 0; plane < plane_count(pool.format.pixel_format); ++plane) {
    for (uint32_t y = 0; y < plane_rows(pool.format, plane); ++y) {
      const uint8_t* row = data + pool.layout.offset[plane] + size_t{y} * pool.layout.stride[plane];
      bytes.append(reinterpret_cast<const char*>(row), plane_row_bytes(pool.format, plane));
    }
  }
  return bytes;
}

uint64_t hash(const std::string& bytes) { return std::hash<std::string>{}(bytes); }

// What the decoder alone gives: GStreamer's own I420 layout, rows padded to 4 bytes.
std::vector<uint64_t> reference(const std::string& path, const FrameFormat& format) {
  const std::string raw = path + ".yuv";
  run_pipeline("filesrc location=" + path + " ! decodebin ! videoconvert dither=none ! " +
               "video/x-raw,format=I420 ! filesink location=" + raw);
  const std::string all = read_file(raw);
  GstVideoInfo info;
  gst_video_info_set_format(&info, GST_VIDEO_FORMAT_I420, format.width, format.height);
  FramePoolOptions layout;
  layout.format = format;
  layout.layout = layout_of(info);
  std::vector<uint64_t> hashes;
  for (size_t at = 0; at + info.size <= all.size(); at += info.size)
    hashes.push_back(hash(pixels(layout, reinterpret_cast<const uint8_t*>(all.data()) + at)));
  return hashes;
}

struct Played {
  std::vector<uint64_t> hashes;
  FrameFormat format;
  SourceStats stats;
};

Played play_hashed(const std::string& path) {
  Played played;
  Player player(fast_file(path),
                [&](const FramePool& pool, const uint8_t* data, const FrameEvent&) {
                  played.hashes.push_back(hash(pixels(pool.options(), data)));
                  played.format = pool.options().format;
                });
  player.start();
  CHECK(player.wait_over());
  CHECK(player.ended);
  played.stats = player.source().stats();
  return played;
}

size_t entries(const char* folder) {
  size_t count = 0;
  DIR* open = opendir(folder);
  while (readdir(open) != nullptr) ++count;
  closedir(open);
  return count;
}

TEST("every frame of a file comes out once, in order, in time") {
  Player player(fast_file(h264_mp4()));
  player.start();
  CHECK(player.wait_over());
  CHECK(player.ended && player.errors.empty() && player.drops.empty());
  CHECK(player.frames.size() == 90);
  CHECK(player.epochs.size() == 1);
  const EpochEvent& epoch = player.epochs[0];
  CHECK(epoch.format.width == 322 && epoch.format.height == 182);
  CHECK(epoch.format.frame_rate_numerator == 30 && epoch.format.frame_rate_denominator == 1);
  CHECK(epoch.decoder == "avdec_h264");
  CHECK(epoch.slots > 4);
  for (size_t i = 0; i < player.frames.size(); ++i) {
    const FrameEvent& frame = player.frames[i];
    CHECK(frame.seq == i && frame.epoch == epoch.epoch && frame.slot < epoch.slots);
    const auto expected = static_cast<int64_t>(i) * 1'000'000'000 / 30;
    CHECK(std::abs(static_cast<int64_t>(frame.pts_ns) - expected) < 1'000'000);
    CHECK(frame.capture_source == CaptureSource::kFile);
    CHECK(frame.capture_unix_ns - player.frames[0].capture_unix_ns == frame.pts_ns);
  }
}

TEST("the decoder writes into slots what it writes elsewhere, for odd sizes, too") {
  for (const auto& [width, height] :
       {std::pair{322, 182}, std::pair{854, 480}, std::pair{200, 202}}) {
    const std::string path = h264_mp4(width, height, 40);
    const Played played = play_hashed(path);
    CHECK(played.hashes.size() == 40);
    CHECK(played.stats.frames_direct == 40 && played.stats.frames_copied == 0);
    CHECK(played.hashes == reference(path, played.format));
  }
}

TEST("frames that no decoder wrote are copied once") {
  const std::string path = clip("raw.mkv", 90, 62, 20, "matroskamux");
  const Played played = play_hashed(path);
  CHECK(played.hashes.size() == 20);
  CHECK(played.stats.frames_copied == 20);
  CHECK(played.hashes == reference(path, played.format));
}

TEST("4:2:2 and 10 bits become I420") {
  const std::string packed =
      clip("packed.mkv", 90, 62, 10, "videoconvert ! video/x-raw,format=YUY2 ! matroskamux");
  const std::string deep = clip("deep.mkv", 90, 62, 10,
                                "videoconvert ! video/x-raw,format=I420_10LE ! x264enc ! "
                                "h264parse ! matroskamux");
  for (const std::string& path : {packed, deep}) {
    const Played played = play_hashed(path);
    CHECK(played.format.pixel_format == PixelFormat::kI420);
    CHECK(played.hashes.size() == 10);
    CHECK(played.hashes == reference(path, played.format));
  }
}

TEST("a frame does not change while somebody may still look at it") {
  std::map<uint64_t, uint64_t> at_first;
  std::vector<std::pair<FrameEvent, uint64_t>> held;
  size_t changed = 0;
  Player* self = nullptr;
  Player player(
      fast_file(h264_mp4(322, 182, 90)),
      [&](const FramePool& pool, const uint8_t* data, const FrameEvent& frame) {
        held.emplace_back(frame, hash(pixels(pool.options(), data)));
        if (held.size() <= 3) return;
        const auto [oldest, before] = held.front();
        held.erase(held.begin());
        auto& writable = const_cast<FramePool&>(pool);
        changed += hash(pixels(pool.options(), writable.slot_data(oldest.slot))) != before;
        self->give_back(oldest);
      },
      true);
  self = &player;
  player.start();
  CHECK(player.wait([&] { return player.ended; }));
  CHECK(player.frames.size() == 90);
  CHECK(changed == 0);
}

TEST("lossless: a full pool pauses the file, and nothing is lost") {
  SourceOptions options = fast_file(h264_mp4());
  Player player(options, nullptr, true);
  player.start();
  CHECK(player.wait([&] { return player.frames.size() >= options.slots; }));
  std::this_thread::sleep_for(milliseconds(300));
  const size_t paused = player.taken().size();
  std::this_thread::sleep_for(milliseconds(300));
  CHECK(player.taken().size() == paused);
  CHECK(paused < 90 && !player.ended);
  std::set<uint64_t> returned;
  while (!player.ended) {
    for (const FrameEvent& frame : player.taken()) {
      if (returned.insert(frame.seq).second) player.give_back(frame);
    }
    player.wait([&] { return player.ended || player.frames.size() > returned.size(); });
  }
  CHECK(player.frames.size() == 90 && player.drops.empty());
}

TEST("lossless: stopping does not wait for a slot") {
  Player player(fast_file(h264_mp4()), nullptr, true);
  player.start();
  CHECK(player.wait([&] { return player.frames.size() >= 4; }));
  std::this_thread::sleep_for(milliseconds(200));
  const auto before = Clock::now();
  player.source().stop();
  CHECK(Clock::now() - before < milliseconds(1000));
  CHECK(player.errors.empty() && !player.ended);
}

TEST("latest: a full pool gives up the oldest frames") {
  SourceOptions options = fast_file(h264_mp4());
  options.mode = SourceMode::kLatest;
  std::vector<uint64_t> hashes;
  FrameFormat format;
  Player player(
      options,
      [&](const FramePool& pool, const uint8_t* data, const FrameEvent&) {
        hashes.push_back(hash(pixels(pool.options(), data)));
        format = pool.options().format;
      },
      true);
  player.start();
  CHECK(player.wait_over());
  CHECK(player.ended && player.frames.size() == 90 && player.drops.empty());
  const FrameEvent first = player.frames.front();
  CHECK(player.source().delivery(first.epoch, first.slot, first.generation, "infer") ==
        Delivery::kGone);
  const FrameEvent last = player.frames.back();
  CHECK(player.source().delivery(last.epoch, last.slot, last.generation, "infer") ==
        Delivery::kNone);
  // Displaced slots are not written to while the decoder needs them as references.
  CHECK(hashes == reference(options.uri, format));
}

TEST("latest: frames are dropped, with their seq, while consumers hold every slot") {
  SourceOptions options = fast_file(h264_mp4());
  options.mode = SourceMode::kLatest;
  std::shared_ptr<const Lane> lane;
  std::atomic<uint64_t>* words = nullptr;
  std::map<uint64_t, uint64_t> leased;  // Slot, hash.
  size_t changed = 0;
  const FramePool* seen = nullptr;
  Player player(
      options,
      [&](const FramePool& pool, const uint8_t* data, const FrameEvent& frame) {
        if (lane == nullptr) {
          seen = &pool;
          lane = const_cast<FramePool&>(pool).open_lane({.consumer = "test", .group = "infer"});
          void* memory = mmap(nullptr, lane_bytes(pool.options().slots), PROT_READ | PROT_WRITE,
                              MAP_SHARED, lane->fd(), 0);
          words = &lane_word(static_cast<uint8_t*>(memory), 0);
        }
        words[frame.slot].store(LaneWord{frame.generation, LanePhase::kHeld}.pack());
        leased[frame.slot] = hash(pixels(pool.options(), data));
      },
      true);
  player.start();
  CHECK(player.wait_over());
  CHECK(player.ended);
  const SourceStats stats = player.source().stats();
  CHECK(stats.frames_decoded == 90);
  CHECK(!player.drops.empty() && stats.frames_dropped == player.drops.size());
  CHECK(player.frames.size() + player.drops.size() == 90);
  std::set<uint64_t> numbers;
  for (const FrameEvent& frame : player.frames) numbers.insert(frame.seq);
  for (const DropEvent& drop : player.drops) numbers.insert(drop.seq);
  CHECK(numbers.size() == 90 && *numbers.rbegin() == 89);
  for (const auto& [slot, before] : leased) {
    uint8_t* data = const_cast<FramePool*>(seen)->slot_data(static_cast<uint32_t>(slot));
    changed += hash(pixels(seen->options(), data)) != before;
  }
  CHECK(changed == 0);
  munmap(reinterpret_cast<uint8_t*>(words) - sizeof(LaneHeader), lane_bytes(seen->options().slots));
}

TEST("a change of size makes a new epoch, announced before its frames") {
  const std::string encode =
      "x264enc bframes=2 speed-preset=veryfast ! video/x-h264,stream-format=byte-stream";
  const std::string big = clip("big.h264", 320, 240, 30, encode);
  const std::string small = clip("small.h264", 160, 120, 30, encode);
  const std::string both = (clip_folder() / "both.h264").string();
  write_file(both, read_file(big) + read_file(small));
  Player* self = nullptr;
  bool announced = true;
  Player player(fast_file(both),
                [&](const FramePool& pool, const uint8_t*, const FrameEvent& frame) {
                  announced = announced && self->epochs.back().epoch == frame.epoch &&
                              self->epochs.back().format == pool.options().format;
                });
  self = &player;
  player.start();
  CHECK(player.wait_over());
  CHECK(player.ended && announced);
  CHECK(player.epochs.size() == 2 && player.frames.size() == 60);
  CHECK(player.epochs[0].created_unix_ns < player.epochs[1].created_unix_ns);
  CHECK(player.epochs[1].format.width == 160 && player.epochs[1].format.height == 120);
  CHECK(player.frames[29].epoch == player.epochs[0].epoch);
  CHECK(player.frames[30].epoch == player.epochs[1].epoch);
}

TEST("a looped file goes on: times rise, numbers follow, the epoch stays") {
  SourceOptions options = fast_file(h264_mp4(322, 182, 30));
  options.loop = true;
  Player player(options);
  player.start();
  CHECK(player.wait([&] { return player.frames.size() >= 100; }));
  player.source().stop();
  CHECK(player.epochs.size() == 1 && !player.ended && player.errors.empty());
  for (size_t i = 1; i < player.frames.size(); ++i) {
    CHECK(player.frames[i].seq == i);
    const uint64_t step = player.frames[i].pts_ns - player.frames[i - 1].pts_ns;
    CHECK(step > 32'000'000 && step < 35'000'000);
  }
}

TEST("realtime: frames come when they are due") {
  SourceOptions options = fast_file(h264_mp4(322, 182, 30));
  options.realtime = true;
  options.mode = SourceMode::kLatest;
  const auto before = Clock::now();
  Player player(options);
  player.start();
  CHECK(player.wait_over());
  CHECK(player.ended && player.frames.size() == 30);
  CHECK(Clock::now() - before > milliseconds(940));
  const FrameEvent& first = player.frames.front();
  for (const FrameEvent& frame : player.frames) {
    const auto late =
        static_cast<int64_t>(frame.decoded_monotonic_ns - first.decoded_monotonic_ns) -
        static_cast<int64_t>(frame.pts_ns);
    CHECK(late >= -1'000'000 && late < 200'000'000);
  }
}

TEST("opened and closed again and again, at any moment, nothing is left behind") {
  const std::string path = h264_mp4();
  const auto cycle = [&](int wait_ms) {
    Player player(fast_file(path));
    player.start();
    std::this_thread::sleep_for(milliseconds(wait_ms));
  };
  for (int i = 0; i < 5; ++i) cycle(i * 5);
  const size_t files = entries("/proc/self/fd");
  const size_t threads = entries("/proc/self/task");
  for (int i = 0; i < 50; ++i) cycle(i % 25);
  std::this_thread::sleep_for(milliseconds(100));
  CHECK(entries("/proc/self/fd") <= files);
  // GStreamer keeps idle threads of its pools for a while.
  CHECK(entries("/proc/self/task") <= threads + 2);
}

}  // namespace
}  // namespace framebus::test

int main() { return framebus::test::run_all(); }
