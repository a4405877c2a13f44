#include "torture_producer.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "attach_socket.h"
#include "cast.h"
#include "core/bus_server.h"
#include "core/error.h"
#include "core/frame_pool.h"
#include "core/monotonic.h"
#include "delivery_book.h"
#include "frame_pattern.h"
#include "process_census.h"

namespace framebus::test {
namespace {

constexpr int64_t kLiveEveryNs = 4'000'000;
constexpr int64_t kFilmEveryNs = 1'500'000;
constexpr int64_t kAllSlotsWithinNs = 10'000'000'000;

class TortureProducer {
 public:
  TortureProducer(const ProducerRole& role, DescriptorFeed referee)
      : role_(role),
        film_(kStreams[role.stream].film),
        random_(role.seed),
        lazy_(random_.one_in(3)),
        referee_(std::move(referee)),
        changed_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    for (uint32_t group = 0; group < kGroups.size(); ++group) {
      if (on_route(role_.stream, group)) books_.emplace_back(group, lazy_, referee_);
    }
  }

  int run();

 private:
  static const GroupRole& guests() { return kGroups[kGuestGroup]; }
  void new_epoch();
  void publish();
  void acquire_and_publish();
  void on_displaced(const HeldSlot& slot);
  void turn_tap();
  void each_book(const std::function<void(DeliveryBook&)>& work);
  void settle();
  void on_event(const BusServerEvent& event);
  bool on_packet(const Packet& packet);
  void check_slots();
  int wait_ms() const;
  Packet packet(Note note) const {
    Packet made;
    made.note = note;
    made.frame.stream = role_.stream;
    made.frame.life = role_.life;
    return made;
  }

  const ProducerRole role_;
  const bool film_;
  Random random_;
  const bool lazy_;  // See DeliveryBook.
  const DescriptorFeed referee_;
  UniqueFd changed_;  // Readable when there are events.
  std::shared_ptr<BusServer> server_;
  std::shared_ptr<FramePool> pool_;
  std::vector<DeliveryBook> books_;
  std::unique_ptr<DeliveryBook> tap_;  // Of the guests' group, while it is on the route.
  std::vector<std::weak_ptr<FramePool>> tapped_;
  int64_t next_turn_ns_ = 0;
  uint64_t seq_ = 0;
  int64_t next_frame_ns_ = 0;
  int64_t next_epoch_ns_ = 0;
  bool draining_ = false;
  bool drained_ = false;

  std::mutex mutex_;
  std::vector<BusServerEvent> events_;
};

void TortureProducer::new_epoch() {
  FramePoolOptions options;
  options.stream_id = role_.pools + std::to_string(role_.stream);
  const auto& formats = torture_formats();
  const uint64_t pick = random_.below(3 * formats.size());
  options.format = formats[pick < formats.size() ? pick : pick % 5];
  options.layout = tight_layout(options.format);
  options.slots = kSlots;
  for (uint32_t group = 0; group < kGroups.size(); ++group) {
    if (on_route(role_.stream, group)) {
      options.groups.emplace_back(kGroups[group].name, kGroups[group].hold);
    }
  }
  if (tap_ != nullptr) options.groups.emplace_back(guests().name, guests().hold);
  if (pool_ != nullptr) pool_->retire();
  pool_ = FramePool::create(options);
  pool_->set_displaced_hook([this](HeldSlot slot) { on_displaced(slot); });
  server_->add_pool(pool_);
  if (tap_ != nullptr) tapped_.push_back(pool_);
  next_epoch_ns_ = monotonic_ns() + static_cast<int64_t>(150 + random_.below(1200)) * 1'000'000;
  referee_.tell(packet(Note::kEpoch));
}

void TortureProducer::each_book(const std::function<void(DeliveryBook&)>& work) {
  for (DeliveryBook& book : books_) work(book);
  if (tap_ != nullptr) work(*tap_);
}

// Puts the guests' group on the route while frames flow, or takes it off.
void TortureProducer::turn_tap() {
  const int64_t now = monotonic_ns();
  if (now < next_turn_ns_) return;
  next_turn_ns_ = now + static_cast<int64_t>(20 + random_.below(300)) * 1'000'000;
  if (tap_ == nullptr) {
    pool_->open_group({guests().name, guests().hold});
    tapped_.push_back(pool_);
    tap_ = std::make_unique<DeliveryBook>(kGuestGroup, lazy_, referee_);
    return;
  }
  tap_.reset();
  for (const auto& tapped : std::exchange(tapped_, {})) {
    if (const auto pool = tapped.lock()) pool->close_group(guests().name);
  }
}

// On the only thread that acquires.
void TortureProducer::on_displaced(const HeldSlot& slot) {
  each_book([&](DeliveryBook& book) {
    if (book.displaced(pool_->epoch(), slot.slot, slot.generation)) return;
    referee_.fail(std::string(kStreams[role_.stream].producer) + ": a frame was displaced that " +
                  kGroups[book.group()].name + " still had on offer");
  });
}

void TortureProducer::acquire_and_publish() {
  const auto slot = film_ ? pool_->acquire() : pool_->acquire_displacing();
  if (!slot) {
    if (film_) return;  // It waits for its groups.
    const SlotCounts counts = pool_->counts();
    return referee_.fail(std::string(kStreams[role_.stream].producer) +
                         ": consumers hold fewer frames than there are slots, but none is to be "
                         "had: " +
                         std::to_string(counts.free) + " free, " + std::to_string(counts.writing) +
                         " written, " + std::to_string(counts.published) + " published");
  }
  auto frame = std::make_shared<TortureFrame>();
  frame->name = {role_.stream, role_.life, ++seq_};
  frame->pool = pool_;
  frame->slot = *slot;
  const FramePoolOptions& options = pool_->options();
  FramePattern(frame->name, options.format).paint(pool_->slot_data(*slot), options.layout);
  frame->generation = pool_->publish(*slot);
  referee_.tell(packet_of(Note::kPublished, *frame));
  each_book([&](DeliveryBook& book) { book.published(frame); });
  // Without a tap guests lease what they hear of, and nobody waits for them.
  if (tap_ == nullptr) referee_.tell(packet_of(Note::kHint, *frame, kGuestGroup));
}

void TortureProducer::publish() {
  const int64_t now = monotonic_ns();
  if (draining_ || now < next_frame_ns_) return;
  // A film that its groups keep waiting must not get slot after slot by new pools.
  const bool behind = film_ && std::any_of(books_.begin(), books_.end(), [](const auto& book) {
                        return book.backlog() > kSlots / 2;
                      });
  if (now >= next_epoch_ns_ && !behind) new_epoch();
  turn_tap();
  acquire_and_publish();
  const int64_t every = film_ ? kFilmEveryNs : kLiveEveryNs;
  // Late frames are not caught up with.
  next_frame_ns_ = std::max(next_frame_ns_ + every, now + every / 4);
}

void TortureProducer::settle() {
  const int64_t now = monotonic_ns();
  bool empty = true;
  each_book([&](DeliveryBook& book) {
    book.tick(now);
    empty = empty && book.empty();
  });
  if (!draining_ || drained_ || !empty) return;
  drained_ = true;
  Packet drained = packet(Note::kDrained);
  for (const auto& [group, consumers] : server_->consumers()) drained.count += consumers;
  drained.value = pool_->counts().free;
  referee_.tell(drained);
}

void TortureProducer::on_event(const BusServerEvent& event) {
  if (event.type != BusServerEvent::Type::kDetached) {
    if (event.type == BusServerEvent::Type::kRefused) {
      referee_.fail("a consumer was refused: " + event.reason);
    }
    return;
  }
  const auto member = static_cast<uint32_t>(std::stoul(event.consumer.substr(1)));
  Packet detached = packet(Note::kDetached);
  detached.member = member;
  detached.group = group_named(event.group);
  detached.count = static_cast<uint32_t>(event.held.size());
  set_field(detached.text, event.reason);
  referee_.tell(detached);
  each_book([&](DeliveryBook& book) {
    if (event.group != kGroups[book.group()].name) return;
    for (const HeldFrame& held : event.held) {
      book.lost(held.epoch, held.slot, held.generation, member);
    }
  });
}

// Nothing is pending and nobody holds a frame: each slot can be had again.
void TortureProducer::check_slots() {
  std::vector<uint32_t> slots;
  const int64_t until = monotonic_ns() + kAllSlotsWithinNs;
  while (slots.size() < kSlots && monotonic_ns() < until) {
    if (const auto slot = pool_->acquire()) {
      slots.push_back(*slot);
    } else {
      ::poll(nullptr, 0, 2);
    }
  }
  const SlotCounts all = pool_->counts();
  if (slots.size() < kSlots || all.writing != kSlots) {
    referee_.fail(std::string(kStreams[role_.stream].producer) + ": leaked slots: of " +
                  std::to_string(kSlots) + " only " + std::to_string(slots.size()) +
                  " could be had");
  }
  for (const uint32_t slot : slots) pool_->discard(slot);
  Packet checked = packet(Note::kChecked);
  for (const auto& [group, consumers] : server_->consumers()) checked.count += consumers;
  checked.value = pool_->counts().free;
  referee_.tell(checked);
}

bool TortureProducer::on_packet(const Packet& order) {
  switch (order.note) {
    case Note::kReset:
      reset_attach_socket(referee_.fd(), random_);
      return true;
    case Note::kDrain:
      draining_ = true;
      drained_ = false;
      each_book([](DeliveryBook& book) { book.drain(); });
      return true;
    case Note::kCheck:
      check_slots();
      return true;
    case Note::kResume:
      draining_ = false;
      each_book([](DeliveryBook& book) { book.resume(); });
      return true;
    case Note::kState: {
      std::string text = draining_ ? "draining" : "publishing";
      for (const DeliveryBook& book : books_) text += "; " + book.text();
      Packet state = packet(Note::kState);
      set_field(state.text, text);
      referee_.tell(state);
      return true;
    }
    default:
      return false;
  }
}

int TortureProducer::wait_ms() const {
  if (drained_) return 20;
  if (draining_) return 1;
  const int64_t ns = next_frame_ns_ - monotonic_ns();
  return ns <= 0 ? 0 : static_cast<int>(ns / 1'000'000) + 1;
}

int TortureProducer::run() {
  const BusServerOptions options{
      role_.directory, kStreams[role_.stream].producer, {}, {}, "", role_.lease_deadline_ms};
  server_ = BusServer::create(options, [this](BusServerEvent event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(changed_.get(), &one, sizeof(one));
  });
  Packet ready = packet(Note::kReady);
  ready.count = census_of_fds(0).others;
  referee_.tell(ready);
  new_epoch();
  bool gone = false;
  bool on = true;
  while (on && !gone) {
    std::array<pollfd, 2> watched{{{referee_.fd(), POLLIN, 0}, {changed_.get(), POLLIN, 0}}};
    ::poll(watched.data(), watched.size(), wait_ms());
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(changed_.get(), &count, sizeof(count));
    std::vector<BusServerEvent> events;
    {
      const std::lock_guard lock(mutex_);
      events.swap(events_);
    }
    for (const BusServerEvent& event : events) on_event(event);
    settle();
    publish();
    while (on) {
      const auto order = referee_.take(gone);
      if (!order) break;
      on = on_packet(*order);
    }
  }
  server_->close();
  return 0;
}

}  // namespace

int run_torture_producer(const ProducerRole& role, DescriptorFeed referee) {
  const int fd = referee.fd();
  try {
    return TortureProducer(role, std::move(referee)).run();
  } catch (const std::exception& error) {
    Packet packet;
    packet.note = Note::kFailure;
    set_field(packet.text, std::string(kStreams[role.stream].producer) + ": " + error.what());
    ::send(fd, &packet, sizeof(packet), MSG_NOSIGNAL);
    return 1;
  }
}

}  // namespace framebus::test
