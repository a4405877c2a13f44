#include "bus_connection.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

#include "error.h"
#include "monotonic.h"

namespace framebus {
namespace {

constexpr int64_t kHelloTimeoutNs = 5'000'000'000;
constexpr size_t kMaxAttachments = 1024;
constexpr size_t kMaxAttachmentsOfOne = 8;  // To one pool, which needs one.

PoolMessage describe(const FramePool& pool, const Lane& lane, uint64_t ticket) {
  auto message = epoch_message<PoolMessage>(pool.epoch(), ticket);
  message.slots = pool.options().slots;
  message.group = lane.group();
  message.hold = lane.hold();
  message.slot_stride = pool.slot_stride();
  message.format = pool.options().format;
  message.layout = pool.options().layout;
  pool.memory().describe(message);
  return message;
}

}  // namespace

BusConnection::BusConnection(UniqueFd fd, uint32_t peer_uid, std::string refusal,
                             const std::array<char, kTokenBytes>& token)
    : fd_(std::move(fd)),
      peer_uid_(peer_uid),
      refusal_(std::move(refusal)),
      token_(token),
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
  Greeting greeting{refusal_.empty() ? refusal_of(received) : refusal_};
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

// Why the hello will not do, if it will not.
std::string BusConnection::refusal_of(const Received& received) {
  const auto version = hello_version(received.data.data(), received.bytes);
  if (version && *version != kBusVersion) {
    return "it speaks version " + std::to_string(*version) +
           " of the bus protocol, this producer version " + std::to_string(kBusVersion) +
           "; run the same framebus on both sides";
  }
  const auto hello = read_message<HelloMessage>(received.data.data(), received.bytes);
  const auto name = hello ? field_text(hello->name) : std::nullopt;
  const auto group = hello ? field_text(hello->group) : std::nullopt;
  if (!hello || !name || !group || !is_bus_name(*name) || !is_bus_name(*group)) {
    return "malformed hello";
  }
  constexpr std::array<char, kTokenBytes> kNone{};
  if (token_ != kNone && !same_token(hello->token, token_)) {
    return "wrong or missing token; set bus.token_file as the producer has it";
  }
  if (hello->max_held == 0) return "a consumer must be allowed to hold at least one frame";
  name_ = *name;
  group_ = *group;
  return "";
}

void BusConnection::handle(const Received& received, PoolDirectory& pools) {
  const auto attach_to = read_message<AttachMessage>(received.data.data(), received.bytes);
  const auto drop_of = read_message<DropMessage>(received.data.data(), received.bytes);
  const auto epoch = attach_to ? epoch_text(attach_to->epoch)
                     : drop_of ? epoch_text(drop_of->epoch)
                               : std::nullopt;
  if (!epoch) return fail("malformed message");
  if (attach_to) {
    attach(*epoch, *attach_to, pools);
  } else {
    drop(drop_of->ticket);
  }
}

void BusConnection::attach(const std::string& epoch, const AttachMessage& message,
                           PoolDirectory& pools) {
  const uint64_t ticket = message.ticket;
  const auto same = std::count_if(attachments_.begin(), attachments_.end(), [&](const auto& each) {
    return each.second.pool->epoch() == epoch;
  });
  if (attachments_.size() >= kMaxAttachments ||
      same >= static_cast<std::ptrdiff_t>(kMaxAttachmentsOfOne)) {
    return fail("it attaches too often");
  }
  if (attachments_.contains(ticket)) return fail("it attaches twice under one number");
  const std::shared_ptr<FramePool> pool = pools.find_pool(epoch);
  if (pool == nullptr) return answer(epoch_message<NoPoolMessage>(epoch, ticket));
  try {
    const std::shared_ptr<Lane> lane =
        pool->open_lane({name_, group_, peer_uid_, message.hold, message.min_hold});
    attachments_[ticket] = {.pool = pool, .lane = lane};
    std::vector<int> fds = {pool->fd(), lane->fd()};
    const std::vector<int> pixels = pool->memory().fds();
    fds.insert(fds.end(), pixels.begin(), pixels.end());
    answer(describe(*pool, *lane, ticket), fds);
    lane->close_fd();  // A descriptor for each lane would be all that there are.
  } catch (const Error& error) {
    if (std::string_view(error.code()) != "BUS_ADMISSION") return fail(error.what());
    auto refused = epoch_message<RefusedAttachMessage>(epoch, ticket);
    set_field(refused.reason, error.what());
    answer(refused);
  }
}

void BusConnection::drop(uint64_t ticket) {
  const auto found = attachments_.find(ticket);
  if (found == attachments_.end()) return;
  found->second.lane->fence(LaneFence::kEnded);  // Should it still lease, by mistake.
  found->second.pool->close_lane(found->second.lane);
  attachments_.erase(found);
}

void BusConnection::tick(const std::vector<std::string>& drained, int64_t lease_deadline_ns) {
  const int64_t now_ns = monotonic_ns();
  if (!greeted_ && now_ns > hello_deadline_ns_) fail("no hello in time");
  for (auto& [ticket, attachment] : attachments_) {
    if (over()) return;
    const auto misuse =
        attachment.watch.look(*attachment.pool, *attachment.lane, now_ns, lease_deadline_ns);
    if (misuse) {
      revoked_ = true;
      return fail(*misuse);
    }
    const std::string& epoch = attachment.pool->epoch();
    attachment.drained |= std::find(drained.begin(), drained.end(), epoch) != drained.end();
    if (!attachment.drained || attachment.told) continue;
    // A full socket is a stopped consumer: it is told when it goes on.
    const SendResult result = send_message(fd_.get(), epoch_message<RetiredMessage>(epoch));
    attachment.told = result == SendResult::kSent;
    if (result == SendResult::kGone) fail("connection closed");
  }
}

std::vector<HeldFrame> BusConnection::end(bool fence) {
  std::vector<HeldFrame> held;
  // All of them before the first one is dropped: a fence is of the whole consumer.
  for (auto& [ticket, attachment] : attachments_) {
    if (fence) attachment.lane->fence(revoked_ ? LaneFence::kRevoked : LaneFence::kEnded);
  }
  for (auto& [ticket, attachment] : attachments_) {
    for (const HeldSlot& slot : attachment.pool->close_lane(attachment.lane)) {
      held.push_back({attachment.pool->epoch(), slot.slot, slot.generation});
    }
  }
  attachments_.clear();
  if (revoked_ && fd_) {
    FencedMessage message;
    set_field(message.reason, end_reason_);
    send_message(fd_.get(), message);  // If it cannot be told, it finds the fence at the end.
  }
  fd_.reset();
  return held;
}

}  // namespace framebus
