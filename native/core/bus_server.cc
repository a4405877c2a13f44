#include "bus_server.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include "bus_connection.h"
#include "bus_socket.h"
#include "error.h"
#include "monotonic.h"

namespace framebus {
namespace {

constexpr uint64_t kListenerKey = 0;
constexpr uint64_t kWakeKey = 1;
constexpr size_t kMaxConnections = 256;
// How often leases are looked at, and how soon a drained pool is noticed. A
// lease ends at most two ticks after its deadline.
constexpr uint32_t kTickMs = 200;
constexpr uint32_t kLeastTickMs = 10;
constexpr uint32_t kTicksOfDeadline = 40;
constexpr size_t kMaxRevokedNames = 1024;
constexpr int kMessagesAtOnce = 32;

bool contains(const std::vector<uint32_t>& ids, uint32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

int64_t tick_ns_of(uint32_t lease_deadline_ms) {
  const uint32_t fine = std::clamp(lease_deadline_ms / kTicksOfDeadline, kLeastTickMs, kTickMs);
  return int64_t{lease_deadline_ms == 0 ? kTickMs : fine} * 1'000'000;
}

class SocketBusServer final : public BusServer, private PoolDirectory {
 public:
  SocketBusServer(const BusServerOptions& options, Listener listener)
      : options_(options),
        token_(token_field(options.token)),
        tick_ns_(tick_ns_of(options.lease_deadline_ms)),
        listener_(std::move(listener)),
        socket_(std::make_unique<BusListener>(
            options.directory, options.producer,
            !options.allow_uids.empty() || !options.allow_gids.empty())),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        spare_(::open("/dev/null", O_RDONLY | O_CLOEXEC)) {
    if (!epoll_ || !wake_) {
      throw Error("BUS_DIRECTORY", "frame bus producer '" + options.producer +
                                       "': no file descriptors left: " + std::strerror(errno));
    }
    watch(socket_->fd(), kListenerKey);
    watch(wake_.get(), kWakeKey);
    thread_ = std::jthread([this] { serve(); });
  }
  ~SocketBusServer() override { close(); }

  const std::string& producer() const override { return options_.producer; }

  void add_pool(std::shared_ptr<FramePool> pool) override {
    {
      const std::lock_guard lock(mutex_);
      if (closing_) {
        throw Error("BUS_CLOSED", "frame bus producer '" + options_.producer + "' is closed");
      }
      pools_[pool->epoch()] = std::move(pool);
    }
    wake();  // From now on there is something to tick for.
  }

  std::map<std::string, uint32_t> consumers() const override {
    const std::lock_guard lock(mutex_);
    return consumers_;
  }

  std::vector<PoolState> pools() const override;

  void close() override {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    wake();
    const std::lock_guard joining(join_mutex_);
    if (thread_.joinable()) thread_.join();
    socket_.reset();  // The name is free from here on.
  }

 private:
  std::shared_ptr<FramePool> find_pool(const std::string& epoch) override {
    const std::lock_guard lock(mutex_);
    const auto found = pools_.find(epoch);
    return found == pools_.end() ? nullptr : found->second;
  }

  void watch(int fd, uint64_t key) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = key;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }
  void wake() {
    const uint64_t one = 1;
    // Full means that it is awake already.
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
  }
  bool closing() const {
    const std::lock_guard lock(mutex_);
    return closing_;
  }

  void serve();
  int timeout_ms(int64_t next_tick_ns) const;
  void accept_all();
  void admit(UniqueFd fd);
  void read_from(uint64_t key);
  void tick();
  void drop(uint64_t key);
  void count(const std::string& group, int change);
  void count_revoked(const BusConnection& connection);
  void report(const BusConnection& connection, const Greeting& greeting);

  const BusServerOptions options_;
  const std::array<char, kTokenBytes> token_;
  const int64_t tick_ns_;
  const Listener listener_;
  std::unique_ptr<BusListener> socket_;
  UniqueFd epoll_;
  UniqueFd wake_;
  UniqueFd spare_;  // Given up to accept and refuse when no descriptor is left.

  mutable std::mutex mutex_;
  bool closing_ = false;
  std::map<std::string, std::shared_ptr<FramePool>> pools_;
  std::map<std::string, uint32_t> consumers_;
  std::map<std::pair<std::string, std::string>, uint64_t> revoked_;  // By consumer and group.

  // Of the server's thread alone.
  std::map<uint64_t, std::unique_ptr<BusConnection>> connections_;
  uint64_t last_key_ = kWakeKey;

  std::mutex join_mutex_;
  std::jthread thread_;
};

void SocketBusServer::serve() {
  std::array<epoll_event, 32> events{};
  int64_t next_tick_ns = monotonic_ns();
  while (!closing()) {
    const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                   timeout_ms(next_tick_ns));
    for (int i = 0; i < ready; ++i) {
      const uint64_t key = events[static_cast<size_t>(i)].data.u64;
      if (key == kListenerKey) {
        accept_all();
      } else if (key == kWakeKey) {
        uint64_t count = 0;
        [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof(count));
      } else {
        read_from(key);
      }
    }
    if (monotonic_ns() >= next_tick_ns) {
      tick();
      next_tick_ns = monotonic_ns() + tick_ns_;
    }
  }
  // Not fenced: nobody writes into the pools of a producer that ends.
  for (auto& [key, connection] : connections_) connection->end(false);
  connections_.clear();
  const std::lock_guard lock(mutex_);
  pools_.clear();
  consumers_.clear();
}

int SocketBusServer::timeout_ms(int64_t next_tick_ns) const {
  {
    const std::lock_guard lock(mutex_);
    if (pools_.empty() && connections_.empty()) return -1;
  }
  const int64_t left_ns = next_tick_ns - monotonic_ns();
  return left_ns <= 0 ? 0 : static_cast<int>((left_ns + 999'999) / 1'000'000);
}

std::vector<PoolState> SocketBusServer::pools() const {
  std::map<std::string, std::shared_ptr<FramePool>> pools;
  decltype(revoked_) revoked;
  {
    const std::lock_guard lock(mutex_);
    pools = pools_;
    revoked = revoked_;
  }
  std::vector<PoolState> states;
  for (const auto& [epoch, pool] : pools) {
    PoolState state = pool->state();
    for (ConsumerState& consumer : state.consumers) {
      const auto found = revoked.find({consumer.consumer, consumer.group});
      if (found != revoked.end()) consumer.revoked = found->second;
    }
    states.push_back(std::move(state));
  }
  return states;
}

void SocketBusServer::accept_all() {
  while (true) {
    UniqueFd fd(::accept4(socket_->fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd) {
      admit(std::move(fd));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if ((errno == EMFILE || errno == ENFILE) && spare_) {
      // Otherwise the waiting connection would keep epoll awake for ever.
      spare_.reset();
      fd.reset(::accept4(socket_->fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      fd.reset();
      spare_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    }
    return;
  }
}

void SocketBusServer::admit(UniqueFd fd) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  std::string refusal;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return;
  if (peer.uid != ::geteuid() && !contains(options_.allow_uids, peer.uid) &&
      !contains(options_.allow_gids, peer.gid)) {
    refusal = "uid " + std::to_string(peer.uid) + ", gid " + std::to_string(peer.gid) +
              " is not allowed; add it to bus.allow_uids or bus.allow_gids of the producer";
  } else if (connections_.size() >= kMaxConnections) {
    refusal = "it has " + std::to_string(kMaxConnections) + " connections already";
  }
  // The refusal waits for the peer's hello: closing a socket with unread data
  // would destroy the answer on its way.
  if (connections_.size() >= 2 * kMaxConnections) return;
  const uint64_t key = ++last_key_;
  watch(fd.get(), key);
  connections_.emplace(key,
                       std::make_unique<BusConnection>(std::move(fd), peer.uid, refusal, token_));
}

void SocketBusServer::read_from(uint64_t key) {
  const auto found = connections_.find(key);
  if (found == connections_.end()) return;
  BusConnection& connection = *found->second;
  for (int i = 0; i < kMessagesAtOnce; ++i) {
    const BusConnection::Progress progress = connection.read(*this);
    if (progress.greeting) report(connection, *progress.greeting);
    if (connection.over()) return drop(key);
    if (!progress.more) return;
  }
}

void SocketBusServer::report(const BusConnection& connection, const Greeting& greeting) {
  BusServerEvent event;
  event.peer_uid = connection.peer_uid();
  event.reason = greeting.refusal;
  event.type = BusServerEvent::Type::kRefused;
  if (greeting.refusal.empty()) {
    event.type = BusServerEvent::Type::kAttached;
    event.consumer = connection.name();
    event.group = connection.group();
    count(connection.group(), 1);
  }
  listener_(std::move(event));
}

// Ends connections that never said hello or that misuse their leases, and tells
// consumers of drained pools.
void SocketBusServer::tick() {
  std::vector<std::string> drained;
  std::map<std::string, std::shared_ptr<FramePool>> pools;
  {
    const std::lock_guard lock(mutex_);
    pools = pools_;
  }
  for (const auto& [epoch, pool] : pools) {
    if (pool->drained()) drained.push_back(epoch);
  }
  {
    const std::lock_guard lock(mutex_);
    for (const std::string& epoch : drained) pools_.erase(epoch);
  }
  std::vector<uint64_t> over;
  for (auto& [key, connection] : connections_) {
    connection->tick(drained, int64_t{options_.lease_deadline_ms} * 1'000'000);
    if (connection->over()) over.push_back(key);
  }
  for (const uint64_t key : over) drop(key);
}

void SocketBusServer::drop(uint64_t key) {
  const auto node = connections_.extract(key);
  BusConnection& connection = *node.mapped();
  // Fenced whatever the reason: a consumer that lives, and has lost its
  // connection only, must not go on with leases that are returned here.
  std::vector<HeldFrame> held = connection.end(true);  // Closes the socket, which epoll notices.
  if (!connection.greeted()) return;
  count(connection.group(), -1);
  if (connection.revoked()) count_revoked(connection);
  BusServerEvent event;
  event.type = BusServerEvent::Type::kDetached;
  event.consumer = connection.name();
  event.group = connection.group();
  event.peer_uid = connection.peer_uid();
  event.reason = connection.end_reason();
  event.held = std::move(held);
  event.revoked = connection.revoked();
  listener_(std::move(event));
}

void SocketBusServer::count(const std::string& group, int change) {
  const std::lock_guard lock(mutex_);
  uint32_t& consumers = consumers_[group];
  consumers = static_cast<uint32_t>(static_cast<int>(consumers) + change);
  if (consumers == 0) consumers_.erase(group);
}

void SocketBusServer::count_revoked(const BusConnection& connection) {
  const std::lock_guard lock(mutex_);
  if (revoked_.size() >= kMaxRevokedNames) revoked_.erase(revoked_.begin());
  ++revoked_[{connection.name(), connection.group()}];
}

}  // namespace

std::shared_ptr<BusServer> BusServer::create(const BusServerOptions& options, Listener listener) {
  if (!is_bus_name(options.producer)) {
    throw Error("BAD_OPTIONS", "frame bus producer '" + options.producer +
                                   "': a name has 1 to 64 letters, digits, '-', '_' or '.'");
  }
  return std::make_shared<SocketBusServer>(options, std::move(listener));
}

}  // namespace framebus
