#include "bus_consumer.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "error.h"
#include "producer_link.h"

namespace framebus {
namespace {

// The one connection to a producer, if there is one now.
struct Door {
  std::mutex mutex;  // Held while connecting: one attempt at a time.
  std::unique_ptr<ProducerLink> link;
};

struct AttachedPool {
  std::string producer;
  std::shared_ptr<PoolView> view;
};

class SocketBusConsumer final : public BusConsumer, private LinkListener {
 public:
  SocketBusConsumer(const BusConsumerOptions& options, Listener listener)
      : options_(options),
        listener_(std::move(listener)),
        stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!stop_) {
      throw Error("BUS_UNREACHABLE", "frame bus consumer '" + options.name +
                                         "': no file descriptors left: " + std::strerror(errno));
    }
  }
  ~SocketBusConsumer() override { close(); }

  void attach(const std::string& producer, const std::string& epoch) override;

  std::variant<std::shared_ptr<SlotLease>, LeaseRefusal> lease(const std::string& epoch,
                                                               uint32_t slot,
                                                               uint64_t generation) override {
    const std::shared_ptr<PoolView> view = find_view(epoch);
    if (view == nullptr) return LeaseRefusal::kUnattached;
    return view->lease(slot, generation);
  }
  uint32_t hold(const std::string& epoch) const override {
    const std::shared_ptr<PoolView> view = find_view(epoch);
    return view == nullptr ? 0 : view->hold();
  }
  void count_displaced(const std::string& epoch, uint32_t frames) override {
    if (const auto view = find_view(epoch)) view->count_displaced(frames);
  }

  uint32_t held() const override {
    const std::lock_guard lock(mutex_);
    uint32_t held = 0;
    for (const auto& state : states_) {
      if (const auto alive = state.lock()) held += alive->held;
    }
    return held;
  }

  void close() override;

 private:
  void pool_mapped(const std::string& producer, std::shared_ptr<PoolView> view) override;
  void pool_retired(const std::string& producer, const std::string& epoch) override;
  void link_gone(const std::string& producer, const LinkEnd& end) override;
  std::shared_ptr<PoolView> find_view(const std::string& epoch) const {
    const std::lock_guard lock(mutex_);
    const auto found = pools_.find(epoch);
    return found == pools_.end() ? nullptr : found->second.view;
  }
  bool attached(const std::string& epoch) const;
  std::shared_ptr<Door> door_to(const std::string& producer);

  const BusConsumerOptions options_;
  const Listener listener_;
  std::mutex close_mutex_;
  UniqueFd stop_;  // Readable from the start of close().

  mutable std::mutex mutex_;
  bool closed_ = false;
  std::unordered_map<std::string, AttachedPool> pools_;  // By epoch.
  std::map<std::string, std::shared_ptr<Door>> doors_;   // By producer.
  mutable std::vector<std::weak_ptr<LinkState>> states_;
};

bool SocketBusConsumer::attached(const std::string& epoch) const {
  const std::lock_guard lock(mutex_);
  if (closed_) {
    throw Error("BUS_CLOSED", "frame bus consumer '" + options_.name + "': closed");
  }
  const auto found = pools_.find(epoch);
  // One whose link is just going to end needs a new link.
  return found != pools_.end() && found->second.view->fence() == LaneFence::kNone;
}

std::shared_ptr<Door> SocketBusConsumer::door_to(const std::string& producer) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Door>& door = doors_[producer];
  if (door == nullptr) door = std::make_shared<Door>();
  return door;
}

void SocketBusConsumer::attach(const std::string& producer, const std::string& epoch) {
  if (!is_bus_name(producer)) {
    throw Error("BAD_OPTIONS", "frame bus producer '" + producer + "': not a name");
  }
  if (!is_epoch(epoch)) throw Error("BAD_OPTIONS", "frame bus epoch '" + epoch + "': not an epoch");
  if (attached(epoch)) return;
  const std::shared_ptr<Door> door = door_to(producer);
  const std::lock_guard lock(door->mutex);
  if (attached(epoch)) return;
  for (int attempt = 0;; ++attempt) {
    if (door->link == nullptr || door->link->gone()) {
      door->link.reset();
      door->link = std::make_unique<ProducerLink>(options_, producer, stop_.get(),
                                                  static_cast<LinkListener&>(*this));
      const std::lock_guard counting(mutex_);
      std::erase_if(states_, [](const auto& state) { return state.expired(); });
      states_.push_back(door->link->state());
    }
    try {
      return door->link->attach(epoch);
    } catch (const Error&) {
      // The producer restarted just now, and the old connection told us so: once more.
      if (attempt > 0 || !door->link->gone() || attached(epoch)) throw;
    }
  }
}

void SocketBusConsumer::pool_mapped(const std::string& producer, std::shared_ptr<PoolView> view) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  // The answer to an attach that had timed out may come after a later one's.
  const auto [at, fresh] = pools_.try_emplace(view->epoch(), AttachedPool{producer, view});
  if (!fresh && at->second.view->fence() != LaneFence::kNone) at->second = {producer, view};
}

void SocketBusConsumer::pool_retired(const std::string& producer, const std::string& epoch) {
  decltype(pools_)::node_type unmapped;  // Unmaps outside the lock.
  const std::lock_guard lock(mutex_);
  const auto found = pools_.find(epoch);
  if (found != pools_.end() && found->second.producer == producer) unmapped = pools_.extract(found);
}

void SocketBusConsumer::link_gone(const std::string& producer, const LinkEnd& end) {
  std::vector<AttachedPool> unmapped;  // Unmaps outside the lock.
  DetachedEvent event{producer, end.reason, end.revoked};
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    for (auto it = pools_.begin(); it != pools_.end();) {
      if (it->second.producer == producer) {
        unmapped.push_back(std::move(it->second));
        it = pools_.erase(it);
      } else {
        ++it;
      }
    }
  }
  for (const AttachedPool& pool : unmapped) {
    // The producer's last word got lost: this consumer had not read for long.
    if (event.revoked || pool.view->fence() != LaneFence::kRevoked) continue;
    event.revoked = true;
    event.reason = "the producer has ended all leases of this consumer";
  }
  listener_(std::move(event));
}

void SocketBusConsumer::close() {
  const std::lock_guard closing(close_mutex_);
  if (!stop_) return;
  decltype(doors_) doors;
  decltype(pools_) unmapped;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    doors = std::exchange(doors_, {});
    unmapped = std::exchange(pools_, {});
  }
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &one, sizeof(one));
  for (const auto& [producer, door] : doors) {
    const std::lock_guard lock(door->mutex);  // An attach on its way has noticed the stop.
    door->link.reset();                       // Joins its thread.
  }
  stop_.reset();  // Whoever attaches from here on sees closed_ first.
}

}  // namespace

std::shared_ptr<BusConsumer> BusConsumer::create(const BusConsumerOptions& options,
                                                 Listener listener) {
  if (!is_bus_name(options.name) || !is_bus_name(options.group)) {
    throw Error("BAD_OPTIONS", "frame bus consumer '" + options.name + "' of group '" +
                                   options.group +
                                   "': names have 1 to 64 letters, digits, '-', '_' or '.'");
  }
  if (options.max_held == 0 || options.max_held > kMaxSlots) {
    throw Error("BAD_OPTIONS", "frame bus consumer '" + options.name + "': maxHeld must be 1 to " +
                                   std::to_string(kMaxSlots));
  }
  if (options.min_hold == 0 || options.min_hold > options.hold || options.hold > kMaxSlots) {
    throw Error("BAD_OPTIONS", "frame bus consumer '" + options.name +
                                   "': minHold must be 1 to hold, and hold at most " +
                                   std::to_string(kMaxSlots));
  }
  token_field(options.token);  // Throws when it is too long.
  return std::make_shared<SocketBusConsumer>(options, std::move(listener));
}

}  // namespace framebus
