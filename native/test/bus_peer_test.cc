// Peers that a producer or a consumer must not trust: strangers, nonsense, silence.
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "bus_rig.h"
#include "check.h"
#include "core/bus_socket.h"
#include "raw_peer.h"

using namespace framebus;
using namespace framebus::test;

TEST("strangers are refused with a reason that helps") {
  if (::geteuid() != 0) {
    std::printf("# skipped: needs root to become another user\n");
    return;
  }
  const Directory directory;
  CHECK(::chmod(directory.path().c_str(), 0755) == 0);
  Producer producer(directory, {12345});
  const auto pool = producer.pool();
  const auto attach_as = [&](uid_t uid) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (::setgid(uid) != 0 || ::setuid(uid) != 0) ::_exit(9);
      Worker worker(directory);
      const std::string code = worker.attach_error("ingest-0", pool->epoch());
      const bool named =
          worker.last_message.find("uid " + std::to_string(uid)) != std::string::npos;
      ::_exit(code.empty() ? 0 : code == "BUS_REFUSED" && named ? 1 : 2);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  };
  CHECK(attach_as(54321) == 1);
  const BusServerEvent refused = producer.events.next();
  CHECK(refused.type == Type::kRefused && refused.peer_uid == 54321);
  CHECK(attach_as(12345) == 0);
  CHECK(producer.events.next().type == Type::kAttached);
}

TEST("peers that talk nonsense are cut, and nobody else notices") {
  const Directory directory;
  Producer producer(directory);
  const auto pool = producer.pool();
  Worker good(directory);
  good.consumer->attach("ingest-0", pool->epoch());
  CHECK(producer.events.next().type == Type::kAttached);
  const auto refusal_to = [&](const void* data, size_t bytes) {
    const UniqueFd peer = connect_to(directory);
    CHECK(send_bytes(peer.get(), data, bytes, {}) == SendResult::kSent);
    const Received received = answer_of(peer);
    const auto refused = read_message<RefusedMessage>(received.data.data(), received.bytes);
    CHECK(refused);
    CHECK(answer_of(peer).status == Received::Status::kGone);
    CHECK(producer.events.next().type == Type::kRefused);
    return *field_text(refused->reason);
  };
  CHECK(refusal_to("x", 1) == "malformed hello");
  const std::string longest(60000, 'z');
  CHECK(refusal_to(longest.data(), longest.size()) == "malformed hello");
  HelloMessage message = hello();
  message.version = 99;
  CHECK(refusal_to(&message, sizeof(message)).find("version 99") != std::string::npos);
  // An older hello was shorter.
  CHECK(refusal_to(&message, 152).find("version 99") != std::string::npos);
  message = hello();
  message.name.fill('a');  // No terminating zero.
  CHECK(refusal_to(&message, sizeof(message)) == "malformed hello");
  message = hello();
  set_field(message.group, "../../etc");
  CHECK(refusal_to(&message, sizeof(message)) == "malformed hello");
  message = hello();
  message.max_held = 0;
  CHECK(!refusal_to(&message, sizeof(message)).empty());

  // After the hello: an epoch that is none, a message of the wrong direction, the same ticket.
  const auto cut_by = [&](const auto& bad) {
    const UniqueFd peer = connect_to(directory);
    CHECK(send_message(peer.get(), hello()) == SendResult::kSent);
    CHECK(answer_of(peer).status == Received::Status::kMessage);
    send_message(peer.get(), bad);
    CHECK(answer_of(peer).status == Received::Status::kGone);
    CHECK(producer.events.next().type == Type::kAttached);
    CHECK(producer.events.next().type == Type::kDetached);
  };
  cut_by(epoch_message<AttachMessage>("../../../../../etc/passwd/aaaaaa"));
  cut_by(epoch_message<RetiredMessage>(pool->epoch()));
  cut_by(hello());
  CHECK(producer.server->consumers().at("infer") == 1);
  const uint32_t slot = *pool->acquire();
  CHECK(good.lease(*pool, slot, write_frame(*pool, slot, 1)) != nullptr);
}

TEST("a peer that asks and never reads is cut") {
  const Directory directory;
  Producer producer(directory);
  const auto pool = producer.pool();
  const UniqueFd peer = connect_to(directory);
  CHECK(send_message(peer.get(), hello()) == SendResult::kSent);
  for (uint64_t ticket = 1; ticket < 100000; ++ticket) {
    const auto ask = epoch_message<AttachMessage>(std::string(32, '0'), ticket);
    if (send_message(peer.get(), ask) == SendResult::kGone) break;
  }
  CHECK(producer.events.next().type == Type::kAttached);
  const BusServerEvent event = producer.events.next();
  CHECK(event.type == Type::kDetached && event.reason.find("without reading") != std::string::npos);
}

TEST("a silent producer does not hold an attach, or close, for ever") {
  const Directory directory;
  // Listens, never answers.
  const BusListener mute(directory.path(), "ingest-0", false);
  Worker worker(directory);
  std::string code;
  std::jthread attaching([&] { code = worker.attach_error("ingest-0", std::string(32, 'a')); });
  std::this_thread::sleep_for(100ms);
  const auto start = std::chrono::steady_clock::now();
  worker.consumer->close();
  attaching.join();
  CHECK(std::chrono::steady_clock::now() - start < 1s);
  CHECK(code == "BUS_CLOSED");
  CHECK(worker.attach_error("ingest-0", std::string(32, 'a')) == "BUS_CLOSED");
}

TEST("a token is asked for, and never told") {
  const Directory directory;
  Producer producer(directory, {}, 0, std::string(kTokenBytes, 's'));
  const auto pool = producer.pool();
  const auto attach_with = [&](const std::string& token) {
    Worker worker(directory, {.name = "w", .group = "infer", .max_held = 1, .token = token});
    const std::string code = worker.attach_error("ingest-0", pool->epoch());
    if (code.empty()) return std::string();
    const BusServerEvent event = producer.events.next();
    CHECK(event.type == Type::kRefused);
    CHECK(code == "BUS_REFUSED" && worker.last_message.find(event.reason) != std::string::npos);
    return event.reason;
  };
  CHECK(attach_with("") == "wrong or missing token; set bus.token_file as the producer has it");
  CHECK(attach_with("guess") == attach_with(""));
  CHECK(attach_with(std::string(kTokenBytes - 1, 's')) == attach_with(""));
  CHECK(attach_with(std::string(kTokenBytes - 1, 's') + "x") == attach_with(""));
  CHECK(attach_with(std::string(kTokenBytes, 's')).empty());
  std::string code;
  try {
    const Producer second(directory, {}, 0, std::string(kTokenBytes + 1, 's'));
  } catch (const Error& error) {
    code = error.code();
    CHECK(std::string(error.what()).find('s' + std::string(8, 's')) == std::string::npos);
  }
  CHECK(code == "BAD_OPTIONS");
}

TEST("a peer that sends descriptors, or attaches without end, is cut and costs no descriptor") {
  const Directory directory;
  Producer producer(directory);
  const auto pool = producer.pool();
  {
    const UniqueFd peer = connect_to(directory);
    CHECK(send_message(peer.get(), hello()) == SendResult::kSent);
    CHECK(answer_of(peer).status == Received::Status::kMessage);
    const auto ask = epoch_message<AttachMessage>(pool->epoch(), 1);
    CHECK(send_message(peer.get(), ask, {peer.get()}) == SendResult::kSent);
    CHECK(answer_of(peer).status == Received::Status::kGone);
    CHECK(producer.events.next().type == Type::kAttached);
    CHECK(producer.events.next().reason == "malformed message");
  }
  const UniqueFd peer = connect_to(directory);
  CHECK(send_message(peer.get(), hello()) == SendResult::kSent);
  CHECK(answer_of(peer).status == Received::Status::kMessage);
  const size_t before = open_fds();
  for (uint64_t ticket = 1; ticket <= 8; ++ticket) {
    CHECK(send_message(peer.get(), epoch_message<AttachMessage>(pool->epoch(), ticket)) ==
          SendResult::kSent);
    CHECK(answer_of(peer).fds.size() == 2);  // And closed again.
  }
  CHECK(open_fds() == before);  // The producer is in this process.
  send_message(peer.get(), epoch_message<AttachMessage>(pool->epoch(), 9));
  CHECK(answer_of(peer).status == Received::Status::kGone);
  CHECK(producer.events.next().type == Type::kAttached);
  CHECK(producer.events.next().reason == "it attaches too often");
}

TEST("descriptors that do not fit into this process are noticed") {
  int pair[2];
  CHECK(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
  const UniqueFd from(pair[0]);
  const UniqueFd to(pair[1]);
  rlimit limit{};
  CHECK(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK(send_message(from.get(), WelcomeMessage{}, {from.get(), from.get()}) == SendResult::kSent);
  const rlimit tight{static_cast<rlim_t>(::dup(from.get())) + 1, limit.rlim_max};
  CHECK(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
  const Received received = receive(to.get(), true);
  CHECK(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  ::close(static_cast<int>(tight.rlim_cur) - 1);
  CHECK(received.lost_fds && received.fds.empty());
  CHECK(!read_message<WelcomeMessage>(received.data.data(), received.bytes));
}

int main() { return framebus::test::run_all(); }
