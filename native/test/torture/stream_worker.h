// A consumer's thread for one stream: leases what is offered, looks at it, lets
// go of it in order.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "cast.h"
#include "core/bus_consumer.h"
#include "descriptor_feed.h"

namespace framebus::test {

class StreamWorker {
 public:
  StreamWorker(uint32_t consumer, uint32_t stream, uint64_t seed, BusConsumer& bus,
               const DescriptorFeed& referee);
  ~StreamWorker();
  StreamWorker(const StreamWorker&) = delete;
  StreamWorker& operator=(const StreamWorker&) = delete;

  void offer(const Packet& hint);

 private:
  struct Held {
    Packet hint;
    std::shared_ptr<SlotLease> lease;
    int64_t until_ns = 0;
    bool again = false;     // Done before; only the delivery is to be ended.
    uint64_t attaches = 0;  // As they were.
  };
  const GroupRole& role() const { return kGroups[group_]; }
  void work();
  // The next frame to lease, or nothing when there is something else to do.
  std::optional<Packet> next();
  void take(const Packet& hint);
  bool attach(const Packet& hint);
  bool known(const FrameName& frame) const;
  void finish_oldest();
  void revoked(const Held& held, const std::string& difference);
  std::string look(const Held& held);
  void tell(Note note, const Packet& hint, const std::string& text = {});

  const uint32_t consumer_;
  const uint32_t group_;
  const uint32_t stream_;
  Random random_;
  const size_t depth_;             // Frames that it holds at once.
  BusConsumer& bus_;               // Borrowed.
  const DescriptorFeed& referee_;  // Borrowed.

  // Of the thread alone.
  std::deque<Held> held_;
  std::set<FrameName> done_;  // The last ones.
  uint64_t attaches_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Packet> hints_;
  bool stop_ = false;
  std::jthread thread_;
};

}  // namespace framebus::test
