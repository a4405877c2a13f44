// A producer and its consumers for tests of the bus.
#pragma once

#include <dirent.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <fstream>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "check.h"
#include "core/bus_consumer.h"
#include "core/bus_server.h"
#include "core/error.h"
#include "core/frame_pool.h"

// Tests here fork and start threads in the child.
// Exported, for the sanitizer looks it up by name.
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }

namespace framebus::test {

using namespace std::chrono_literals;

// A folder of its own for each test, removed at its end.
class Directory {
 public:
  Directory() {
    char name[] = "/tmp/framebus-test-XXXXXX";
    CHECK(::mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~Directory() {
    for (const std::string& file : files()) ::unlink((path_ + "/" + file).c_str());
    ::rmdir(path_.c_str());
  }
  const std::string& path() const { return path_; }
  std::set<std::string> files() const {
    std::set<std::string> names;
    DIR* const folder = ::opendir(path_.c_str());
    while (const dirent* entry = ::readdir(folder)) {
      if (entry->d_name[0] != '.') names.insert(entry->d_name);
    }
    ::closedir(folder);
    return names;
  }

 private:
  std::string path_;
};

// Entries of a folder, "." and ".." included.
inline size_t entries(const char* folder) {
  size_t count = 0;
  DIR* const open = ::opendir(folder);
  while (::readdir(open) != nullptr) ++count;
  ::closedir(open);
  return count;
}

inline size_t open_fds() { return entries("/proc/self/fd"); }

// Mappings of pools and lanes in this process.
inline size_t bus_maps() {
  std::ifstream maps("/proc/self/maps");
  size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    count += line.find("framebus-") != std::string::npos ? 1 : 0;
  }
  return count;
}

// Events of any thread, to wait for.
template <class Event>
class Events {
 public:
  void add(Event event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_all();
  }
  Event next() {
    std::unique_lock lock(mutex_);
    CHECK(changed_.wait_for(lock, 5s, [&] { return !events_.empty(); }));
    Event event = std::move(events_.front());
    events_.erase(events_.begin());
    return event;
  }
  size_t count() {
    const std::lock_guard lock(mutex_);
    return events_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Event> events_;
};

using Type = BusServerEvent::Type;

struct Producer {
  explicit Producer(const Directory& directory, std::vector<uint32_t> uids = {},
                    uint32_t lease_deadline_ms = 0, const std::string& token = "")
      : server(BusServer::create(
            {directory.path(), "ingest-0", std::move(uids), {}, token, lease_deadline_ms},
            [this](BusServerEvent event) { events.add(std::move(event)); })) {}
  ~Producer() { server->close(); }
  // All slots may be held, half of them by each group.
  std::shared_ptr<FramePool> pool(uint32_t slots = 4) const {
    FramePoolOptions options;
    options.slots = slots;
    options.capacity = slots;
    options.groups = {{"infer", slots / 2}, {"sink", slots - slots / 2}};
    return pool(options);
  }
  std::shared_ptr<FramePool> pool(FramePoolOptions options) const {
    options.stream_id = "gate";
    options.format.width = 322;
    options.format.height = 181;
    options.format.pixel_format = PixelFormat::kNv12;
    options.layout = tight_layout(options.format);
    std::shared_ptr<FramePool> made = FramePool::create(options);
    server->add_pool(made);
    return made;
  }
  Events<BusServerEvent> events;
  std::shared_ptr<BusServer> server;
};

struct Worker {
  explicit Worker(const Directory& directory, const std::string& group = "infer",
                  uint32_t max_held = 8)
      : Worker(directory, {.name = "worker", .group = group, .max_held = max_held}) {}
  Worker(const Directory& directory, BusConsumerOptions options)
      : consumer(
            BusConsumer::create(placed(std::move(options), directory),
                                [this](DetachedEvent event) { events.add(std::move(event)); })) {}
  ~Worker() { consumer->close(); }
  static BusConsumerOptions placed(BusConsumerOptions options, const Directory& directory) {
    options.directory = directory.path();
    return options;
  }
  std::shared_ptr<SlotLease> lease(const FramePool& pool, uint32_t slot, uint64_t generation) {
    auto result = consumer->lease(pool.epoch(), slot, generation);
    const auto* lease = std::get_if<std::shared_ptr<SlotLease>>(&result);
    return lease == nullptr ? nullptr : *lease;
  }
  bool unattached(const std::string& epoch) {
    const auto result = consumer->lease(epoch, 0, 1);
    const auto* refusal = std::get_if<LeaseRefusal>(&result);
    return refusal != nullptr && *refusal == LeaseRefusal::kUnattached;
  }
  LeaseRefusal refusal(const std::string& epoch, uint32_t slot, uint64_t generation) {
    return std::get<LeaseRefusal>(consumer->lease(epoch, slot, generation));
  }
  std::string attach_error(const std::string& producer, const std::string& epoch) {
    try {
      consumer->attach(producer, epoch);
    } catch (const Error& error) {
      last_message = error.what();
      return error.code();
    }
    return "";
  }
  Events<DetachedEvent> events;
  std::string last_message;
  std::shared_ptr<BusConsumer> consumer;
};

template <class Condition>
bool soon(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + 5s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

inline uint64_t write_frame(FramePool& pool, uint32_t slot, uint8_t value) {
  std::memset(pool.slot_data(slot), value, pool.options().layout.slot_bytes);
  return pool.publish(slot);
}

}  // namespace framebus::test
