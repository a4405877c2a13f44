#include "bus_connection.h"

#include <algorithm>
#include <utility>

#include "error.h"
#include "monotonic.h"

namespace framebus {
namespace {

constexpr int64_t kHelloTimeoutNs = 5'000'000'000;
constexpr size_t kMaxAttachments = 1024;

PoolMessage describe(const FramePool& pool, const Lane& lane, uint64_t ticket) {
  auto message = epoch_message<PoolMessage>(pool.epoch(), ticket);
  message.slots = pool.options().slots;
  message.group = lane.group();
  message.slot_stride = pool.slot_stride();
  message.format = pool.options().format;
  message.layout = pool.options().layout;
  pool.memory().describe(message);
  return message;
}

}  // namespace

BusConnection::BusConnection(UniqueFd fd, uint32_t peer_uid, std::string refusal)
    : fd_(std::move(fd)),
      peer_uid_(peer_uid),
      refusal_(std::move(refusal)),
      hello_deadline_ns_(monotonic_ns() + kHelloTimeoutNs) {}

void BusConnection::fail(const std::string& reason) {
  if (end_reason_.empty()) end_reason_ = reason;
}

template <class Message>
void BusConnection::answer(const Message& message, const std::vector<int>& fds) {
  switch (send_message(fd_.get(), message, fds)) {
    case SendResult::kSent:
      return;
    case SendResult::kFull:
      return fail("it asks without reading the answers");
    case SendResult::kGone:
      return fail("connection closed");
  }
}

BusConnection::Progress BusConnection::read(PoolDirectory& pools) {
  Progress progress;
  const Received received = receive(fd_.get(), false);
  if (received.status == Received::Status::kNothing) return progress;
  if (received.status == Received::Status::kGone) {
    fail("connection closed");
    return progress;
  }
  progress.more = true;
  if (greeted_) {
    handle(received, pools);
  } else {
    progress.greeting = greet(received);
  }
  return progress;
}

Greeting BusConnection::greet(const Received& received) {
  const auto hello = read_message<HelloMessage>(received.data.data(), received.bytes);
  Greeting greeting{refusal_};
  if (greeting.refusal.empty()) {
    const auto name = hello ? field_text(hello->name) : std::nullopt;
    const auto group = hello ? field_text(hello->group) : std::nullopt;
    if (!hello || !name || !group || !is_bus_name(*name) || !is_bus_name(*group)) {
      greeting.refusal = "malformed hello";
    } else if (hello->version != kBusVersion) {
      greeting.refusal = "it speaks version " + std::to_string(hello->version) +
                         " of the bus protocol, this producer version " +
                         std::to_string(kBusVersion) + "; run the same framebus on both sides";
    } else if (hello->max_held == 0) {
      greeting.refusal = "a consumer must be allowed to hold at least one frame";
    } else {
      name_ = *name;
      group_ = *group;
    }
  }
  if (greeting.refusal.empty()) {
    greeted_ = true;
    answer(WelcomeMessage{});
  } else {
    RefusedMessage refused;
    set_field(refused.reason, greeting.refusal);
    answer(refused);
    fail(greeting.refusal);
  }
  return greeting;
}

void BusConnection::handle(const Received& received, PoolDirectory& pools) {
  const auto attach_to = read_message<AttachMessage>(received.data.data(), received.bytes);
  const auto drop_of = read_message<DropMessage>(received.data.data(), received.bytes);
  const auto epoch = attach_to ? epoch_text(attach_to->epoch)
                     : drop_of ? epoch_text(drop_of->epoch)
                               : std::nullopt;
  if (!epoch) return fail("malformed message");
  if (attach_to) {
    attach(*epoch, attach_to->ticket, pools);
  } else {
    drop(drop_of->ticket);
  }
}

void BusConnection::attach(const std::string& epoch, uint64_t ticket, PoolDirectory& pools) {
  if (attachments_.size() >= kMaxAttachments) return fail("it attaches too often");
  if (attachments_.contains(ticket)) return fail("it attaches twice under one number");
  const std::shared_ptr<FramePool> pool = pools.find_pool(epoch);
  if (pool == nullptr) return answer(epoch_message<NoPoolMessage>(epoch, ticket));
  try {
    const std::shared_ptr<const Lane> lane = pool->open_lane(group_);
    attachments_[ticket] = {.pool = pool, .lane = lane};
    std::vector<int> fds = {pool->fd(), lane->fd()};
    const std::vector<int> pixels = pool->memory().fds();
    fds.insert(fds.end(), pixels.begin(), pixels.end());
    answer(describe(*pool, *lane, ticket), fds);
  } catch (const Error& error) {
    fail(error.what());
  }
}

void BusConnection::drop(uint64_t ticket) {
  const auto found = attachments_.find(ticket);
  if (found == attachments_.end()) return;
  found->second.pool->close_lane(found->second.lane);
  attachments_.erase(found);
}

void BusConnection::tick(const std::vector<std::string>& drained) {
  if (!greeted_ && monotonic_ns() > hello_deadline_ns_) fail("no hello in time");
  for (auto& [ticket, attachment] : attachments_) {
    const std::string& epoch = attachment.pool->epoch();
    attachment.drained |= std::find(drained.begin(), drained.end(), epoch) != drained.end();
    if (!attachment.drained || attachment.told || over()) continue;
    // A full socket is a stopped consumer: it is told when it goes on.
    const SendResult result = send_message(fd_.get(), epoch_message<RetiredMessage>(epoch));
    attachment.told = result == SendResult::kSent;
    if (result == SendResult::kGone) fail("connection closed");
  }
}

std::vector<HeldFrame> BusConnection::end() {
  std::vector<HeldFrame> held;
  for (auto& [ticket, attachment] : attachments_) {
    for (const HeldSlot& slot : attachment.pool->close_lane(attachment.lane)) {
      held.push_back({attachment.pool->epoch(), slot.slot, slot.generation});
    }
  }
  attachments_.clear();
  fd_.reset();
  return held;
}

}  // namespace framebus
