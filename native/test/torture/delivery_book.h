// A producer's side of the deliveries to one group, as ingest does it.
//   lossless: frames are offered one after the other; one that nobody takes is
//             offered again after its time, one whose holder is gone, too.
//   latest:   a newer frame, or time, ends the delivery of an older one.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "cast.h"
#include "core/frame_pool.h"
#include "descriptor_feed.h"

namespace framebus::test {

// A published frame; its pool lives as long as somebody has it in a book.
struct TortureFrame {
  FrameName name;
  std::shared_ptr<FramePool> pool;
  uint32_t slot = 0;
  uint64_t generation = 0;
};

Packet packet_of(Note note, const TortureFrame& frame, uint32_t group = 0);

class DeliveryBook {
 public:
  // `lazy`: older deliveries of `latest` are left to the pool, which displaces them.
  DeliveryBook(uint32_t group, bool lazy, const DescriptorFeed& referee)
      : group_(group), lazy_(lazy), referee_(referee) {}

  uint32_t group() const { return group_; }
  void published(const std::shared_ptr<const TortureFrame>& frame);
  // Looks at what has happened to the frames since.
  void tick(int64_t now_ns);
  // A member is gone; it held these.
  void lost(const std::string& epoch, uint32_t slot, uint64_t generation, uint32_t member);
  // The pool gave the frame up for a newer one. Whether that is right.
  bool displaced(const std::string& epoch, uint32_t slot, uint64_t generation);
  // Ends what waits (latest), or waits for it (lossless).
  void drain();
  void resume() { draining_ = false; }
  bool empty() const {
    return backlog_.empty() && waiting_.empty() && undecided_.empty() && taken_.empty();
  }
  size_t backlog() const { return backlog_.size(); }
  std::string text() const;

 private:
  struct Entry {
    std::shared_ptr<const TortureFrame> frame;
    uint32_t attempt = 0;
    int64_t since_ns = 0;
  };
  bool lossless() const { return kGroups[group_].lossless; }
  const char* name() const { return kGroups[group_].name; }
  Delivery delivery(const Entry& entry) const {
    return entry.frame->pool->delivery(entry.frame->slot, entry.frame->generation, name());
  }
  DeliveryEnd end(const Entry& entry) const {
    return entry.frame->pool->end_delivery(entry.frame->slot, entry.frame->generation, name());
  }
  void lost_before(const std::string& epoch, uint32_t slot, uint64_t generation, uint32_t member);
  void offer(const Entry& entry) const;
  void give_up(Entry entry);
  void finish(const Entry& entry) const;
  void settle_waiting(Entry entry, int64_t now_ns);
  void settle_taken(Entry entry, int64_t now_ns);
  void wrong(const Entry& entry, const std::string& what) const;

  const uint32_t group_;
  const bool lazy_;
  const DescriptorFeed& referee_;  // Borrowed.
  bool draining_ = false;
  std::deque<Packet> closed_;     // The last ones that nobody had.
  std::deque<Entry> backlog_;     // lossless: not offered yet, oldest first.
  std::deque<Entry> waiting_;     // Offered.
  std::vector<Entry> undecided_;  // Given up while a member was leasing it.
  std::vector<Entry> taken_;      // Held by a member when last looked at.
};

}  // namespace framebus::test
