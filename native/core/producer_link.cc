#include "producer_link.h"

#include <poll.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "error.h"

namespace framebus {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kTimeout{5000};

}  // namespace

ProducerLink::ProducerLink(const BusConsumerOptions& options, std::string producer, int stop_fd,
                           LinkListener& listener)
    : producer_(std::move(producer)),
      stop_fd_(stop_fd),
      hold_(options.hold),
      min_hold_(options.min_hold),
      listener_(listener),
      state_(std::make_shared<LinkState>()) {
  state_->max_held = options.max_held;
  connect(bus_socket_path(options.directory, producer_));
  greet(options);
  thread_ = std::jthread([this] { listen(); });
}

void ProducerLink::unreachable(const std::string& why) const {
  throw Error("BUS_UNREACHABLE", "frame bus producer '" + producer_ + "': " + why);
}

void ProducerLink::connect(const std::string& path) {
  state_->socket.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!state_->socket) unreachable(std::string("cannot make a socket: ") + std::strerror(errno));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const auto deadline = steady_clock::now() + kTimeout;
  while (::connect(state_->socket.get(), reinterpret_cast<const sockaddr*>(&address),
                   sizeof(address)) != 0) {
    if (errno == EINTR) continue;
    if (errno != EAGAIN) unreachable("cannot connect to " + path + ": " + std::strerror(errno));
    if (steady_clock::now() > deadline) unreachable("does not accept connections on " + path);
    // Its queue of connections is full; there is nothing to wait on but time.
    pollfd stop{stop_fd_, POLLIN, 0};
    if (::poll(&stop, 1, 20) > 0) throw Error("BUS_CLOSED", "frame bus consumer: closed");
  }
}

void ProducerLink::wait_readable(milliseconds timeout) {
  std::array<pollfd, 2> watched{{{state_->socket.get(), POLLIN, 0}, {stop_fd_, POLLIN, 0}}};
  int ready = 0;
  do {
    ready = ::poll(watched.data(), watched.size(), static_cast<int>(timeout.count()));
  } while (ready < 0 && errno == EINTR);
  if (watched[1].revents != 0) throw Error("BUS_CLOSED", "frame bus consumer: closed");
  if (ready == 0) unreachable("no answer within " + std::to_string(timeout.count()) + " ms");
}

void ProducerLink::greet(const BusConsumerOptions& options) {
  HelloMessage hello;
  hello.max_held = options.max_held;
  set_field(hello.name, options.name);
  set_field(hello.group, options.group);
  hello.token = token_field(options.token);
  if (send_message(state_->socket.get(), hello) != SendResult::kSent) {
    unreachable("connection lost");
  }
  wait_readable(kTimeout);
  const Received received = receive(state_->socket.get(), false);
  if (received.status != Received::Status::kMessage) unreachable("connection closed at hello");
  const auto refused = read_message<RefusedMessage>(received.data.data(), received.bytes);
  if (refused) {
    throw Error("BUS_REFUSED", "frame bus producer '" + producer_ + "': refused: " +
                                   field_text(refused->reason).value_or("no reason given"));
  }
  const auto welcome = read_message<WelcomeMessage>(received.data.data(), received.bytes);
  if (!welcome || welcome->version != kBusVersion) {
    throw Error("BUS_REFUSED", "frame bus producer '" + producer_ +
                                   "': it speaks another protocol; run the same framebus on "
                                   "both sides");
  }
}

bool ProducerLink::gone() const {
  const std::lock_guard lock(mutex_);
  return gone_.has_value() || stopped_;
}

void ProducerLink::attach(const std::string& epoch) {
  std::unique_lock lock(mutex_);
  if (!gone_ && !stopped_) {
    const uint64_t ticket = ++last_ticket_;
    asked_[ticket] = epoch;
    Answer& pending = waiting_[ticket];
    lock.unlock();
    auto message = epoch_message<AttachMessage>(epoch, ticket);
    message.hold = hold_;
    message.min_hold = min_hold_;
    const SendResult sent = send_message(state_->socket.get(), message);
    lock.lock();
    if (sent != SendResult::kFull) {
      answered_.wait_for(lock, kTimeout, [&] { return stopped_ || gone_ || pending.there; });
    }
    const Answer given = std::move(pending);
    waiting_.erase(ticket);
    if (given.code != nullptr) throw Error(given.code, given.message);
    if (given.there) return;
    if (!gone_ && !stopped_) {
      unreachable("no answer within " + std::to_string(kTimeout.count()) + " ms");
    }
  }
  if (gone_) unreachable(gone_->reason);
  throw Error("BUS_CLOSED", "frame bus consumer: closed");
}

// Once: a producer gives only what it was asked for, so that none can pass its
// memory off as another one's.
bool ProducerLink::was_asked(uint64_t ticket, const std::string& epoch) {
  const std::lock_guard lock(mutex_);
  const auto found = asked_.find(ticket);
  if (found == asked_.end() || found->second != epoch) return false;
  asked_.erase(found);
  return true;
}

void ProducerLink::answer(uint64_t ticket, const Error* failure) {
  const std::lock_guard lock(mutex_);
  const auto found = waiting_.find(ticket);
  if (found == waiting_.end()) return;
  found->second.there = true;
  if (failure != nullptr) {
    found->second.code = failure->code();
    found->second.message = failure->what();
  }
  answered_.notify_all();
}

// The link's thread.
void ProducerLink::listen() {
  std::array<pollfd, 2> watched{{{state_->socket.get(), POLLIN, 0}, {stop_fd_, POLLIN, 0}}};
  std::optional<LinkEnd> over;
  while (!over) {
    if (::poll(watched.data(), watched.size(), -1) < 0) continue;  // EINTR.
    if (watched[1].revents != 0) break;
    Received received = receive(state_->socket.get(), true);
    if (received.status == Received::Status::kGone) {
      over = LinkEnd{"connection closed by the producer"};
    }
    if (received.status == Received::Status::kMessage) over = handle(received);
  }
  {
    const std::lock_guard lock(mutex_);
    gone_ = over;
    stopped_ = !over;
    answered_.notify_all();
  }
  if (over) {
    ::shutdown(state_->socket.get(), SHUT_RDWR);  // A producer that talks nonsense, too.
    listener_.link_gone(producer_, *over);
  }
}

// Why the link must end, if it must.
std::optional<LinkEnd> ProducerLink::handle(Received& received) {
  const void* const data = received.data.data();
  if (received.lost_fds) return LinkEnd{"no file descriptors left for the memory of a pool"};
  if (const auto pool = read_message<PoolMessage>(data, received.bytes)) {
    return handle_pool(*pool, received.fds);
  }
  if (const auto none = read_message<NoPoolMessage>(data, received.bytes)) {
    const auto epoch = epoch_text(none->epoch);
    return refuse(
        none->ticket, epoch,
        Error("BUS_EPOCH_GONE", "frame bus producer '" + producer_ + "': it has no pool " +
                                    epoch.value_or("") + " (any more)"));
  }
  if (const auto refused = read_message<RefusedAttachMessage>(data, received.bytes)) {
    const std::string why = field_text(refused->reason).value_or("no reason given");
    return refuse(refused->ticket, epoch_text(refused->epoch),
                  Error("BUS_ADMISSION", "frame bus producer '" + producer_ + "': " + why));
  }
  if (const auto retired = read_message<RetiredMessage>(data, received.bytes)) {
    const auto epoch = epoch_text(retired->epoch);
    if (!epoch) return LinkEnd{"malformed message"};
    listener_.pool_retired(producer_, *epoch);
    return std::nullopt;
  }
  if (const auto fenced = read_message<FencedMessage>(data, received.bytes)) {
    return LinkEnd{field_text(fenced->reason).value_or("no reason given"), true};
  }
  return LinkEnd{"malformed message"};
}

std::optional<LinkEnd> ProducerLink::handle_pool(const PoolMessage& pool,
                                                 const std::vector<UniqueFd>& fds) {
  const auto epoch = epoch_text(pool.epoch);
  if (!epoch || !is_sane(pool) || fds.size() != 2 + pixel_fds(pool)) {
    return LinkEnd{"malformed pool message"};
  }
  if (!was_asked(pool.ticket, *epoch)) {
    return LinkEnd{"it offers a pool that it was not asked for"};
  }
  try {
    listener_.pool_mapped(producer_, PoolView::map(state_, pool, fds));
    answer(pool.ticket);
  } catch (const Error& error) {
    // The producer keeps a place for it until it hears otherwise.
    send_message(state_->socket.get(), epoch_message<DropMessage>(*epoch, pool.ticket));
    const Error failure(error.code(), "frame bus producer '" + producer_ + "': " + error.what());
    answer(pool.ticket, &failure);
  }
  return std::nullopt;
}

std::optional<LinkEnd> ProducerLink::refuse(uint64_t ticket,
                                            const std::optional<std::string>& epoch,
                                            const Error& error) {
  if (!epoch || !was_asked(ticket, *epoch)) return LinkEnd{"malformed message"};
  answer(ticket, &error);
  return std::nullopt;
}

}  // namespace framebus
