#include "gpu_producer.h"

#include <poll.h>

#include <chrono>
#include <cinttypes>
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "core/bus_server.h"
#include "core/monotonic.h"
#include "core/source.h"
#include "frame_hash.h"

namespace framebus::test {
namespace {

using std::chrono::milliseconds;

// Says whether a source has ended, and how.
class Ending {
 public:
  bool see(const SourceEvent& event) {
    if (const auto* warning = std::get_if<WarningEvent>(&event))
      std::fprintf(stderr, "warning %s %s\n", warning->code.c_str(), warning->message.c_str());
    const auto* error = std::get_if<ErrorEvent>(&event);
    if (error != nullptr)
      std::fprintf(stderr, "error %s %s\n", error->code.c_str(), error->message.c_str());
    if (error == nullptr && !std::holds_alternative<EndEvent>(event)) return false;
    const std::lock_guard lock(mutex_);
    code_ = error != nullptr ? 1 : 0;
    changed_.notify_all();
    return true;
  }
  std::optional<int> wait(milliseconds limit) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, limit, [this] { return code_.has_value(); });
    return code_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<int> code_;
};

SourceOptions options_for(const std::string& file, MemoryKind memory) {
  SourceOptions options;
  options.stream_id = "gpu";
  options.uri = file;
  options.mode = SourceMode::kLossless;
  options.memory = memory;
  options.slots = 16;
  return options;
}

uint32_t held(const std::vector<PoolState>& pools) {
  uint32_t all = 0;
  for (const PoolState& pool : pools) {
    for (const ConsumerState& consumer : pool.consumers)
      all += static_cast<uint32_t>(consumer.counts.held);
  }
  return all;
}

// A lossless source waits for ever for consumers that will not come any more.
bool nobody_listens() {
  pollfd output{.fd = 1, .events = 0, .revents = 0};
  return ::poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

void tell(const SourceEvent& event) {
  if (const auto* epoch = std::get_if<EpochEvent>(&event))
    std::printf("epoch %s %s\n", epoch->epoch.c_str(), epoch->decoder.c_str());
  if (const auto* frame = std::get_if<FrameEvent>(&event)) {
    std::printf("frame %s %u %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", frame->epoch.c_str(),
                frame->slot, frame->generation, frame->seq, monotonic_ns());
  }
  std::fflush(stdout);
}

}  // namespace

int gpu_producer(const std::vector<std::string>& arguments) {
  SourceOptions options = options_for(arguments.at(1), memory_kind_of(arguments.at(2)).value());
  options.mode = arguments.at(3) == "latest" ? SourceMode::kLatest : SourceMode::kLossless;
  for (size_t i = 4; i < arguments.size(); ++i) {
    if (arguments[i] == "loop") options.loop = true;
    if (arguments[i] == "realtime") options.realtime = true;
  }
  options.groups = {RouteGroup("proof", 8)};
  const auto server = BusServer::create(
      {.directory = arguments.at(0), .producer = "gpu", .allow_uids = {}, .allow_gids = {}},
      [](const BusServerEvent& event) {
        if (event.type == BusServerEvent::Type::kDetached)
          std::fprintf(stderr, "detached %zu\n", event.held.size());
      });
  Ending ending;
  Source source(
      options, [&](const std::shared_ptr<FramePool>& pool) { server->add_pool(pool); },
      [&](const SourceEvent& event) {
        tell(event);
        ending.see(event);
        return true;
      });
  source.start();
  std::optional<int> code;
  while (!code) {
    code = ending.wait(milliseconds(1000));
    if (nobody_listens()) return 0;
    for (const PoolState& pool : server->pools()) {
      std::fprintf(stderr, "state %u %u %u %u\n", pool.slots, pool.counts.free,
                   pool.counts.published, held({pool}));
    }
  }
  const SourceStats stats = source.stats();
  std::printf("end %" PRIu64 " %" PRIu64 "\n", stats.frames_decoded, stats.frames_copied);
  std::fflush(stdout);
  // Consumers may still be at the last frames.
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!server->consumers().empty() && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(milliseconds(20));
  source.stop();
  server->close();
  return *code;
}

int gpu_reference(const std::vector<std::string>& arguments) {
  SourceOptions options = options_for(arguments.at(0), MemoryKind::kShm);
  std::shared_ptr<FramePool> pool;
  std::string decoder;
  Ending ending;
  Source source(
      options, [&](const std::shared_ptr<FramePool>& made) { pool = made; },
      [&](const SourceEvent& event) {
        if (const auto* epoch = std::get_if<EpochEvent>(&event)) decoder = epoch->decoder;
        if (const auto* frame = std::get_if<FrameEvent>(&event)) {
          const FramePoolOptions& made = pool->options();
          FrameView view;
          view.format = made.format;
          for (uint32_t p = 0; p < plane_count(made.format.pixel_format); ++p) {
            view.data[p] = pool->slot_data(frame->slot) + made.layout.offset[p];
            view.stride[p] = made.layout.stride[p];
          }
          std::printf("%" PRIu64 " %s\n", frame->seq, frame_hash(view).c_str());
        }
        ending.see(event);
        return true;
      });
  source.start();
  const int code = ending.wait(milliseconds(120'000)).value_or(1);
  source.stop();
  std::printf("frames %" PRIu64 " %s\n", source.stats().frames_decoded, decoder.c_str());
  return code;
}

int gpu_decode(const std::vector<std::string>& arguments) {
  const SourceOptions options =
      options_for(arguments.at(0), memory_kind_of(arguments.at(1)).value());
  uint64_t first_ns = 0;
  uint64_t last_ns = 0;
  uint64_t frames = 0;
  std::string decoder;
  Ending ending;
  Source source(
      options, [](const std::shared_ptr<FramePool>&) {},
      [&](const SourceEvent& event) {
        if (const auto* epoch = std::get_if<EpochEvent>(&event)) decoder = epoch->decoder;
        if (std::holds_alternative<FrameEvent>(event)) {
          last_ns = monotonic_ns();
          if (frames++ == 0) first_ns = last_ns;
        }
        ending.see(event);
        return true;
      });
  source.start();
  const int code = ending.wait(milliseconds(120'000)).value_or(1);
  source.stop();
  const double seconds = static_cast<double>(last_ns - first_ns) / 1e9;
  std::printf("decoded %" PRIu64 " %.1f %s\n", frames, static_cast<double>(frames - 1) / seconds,
              decoder.c_str());
  return code;
}

}  // namespace framebus::test
