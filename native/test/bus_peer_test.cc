// Peers that a producer or a consumer must not trust: strangers, nonsense, silence.
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "bus_rig.h"
#include "check.h"
#include "core/bus_socket.h"

using namespace framebus;
using namespace framebus::test;

namespace {

// A peer that speaks the protocol as it likes.
UniqueFd connect_to(const Directory& directory) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (directory.path() + "/ingest-0.sock").copy(address.sun_path, sizeof(address.sun_path) - 1);
  CHECK(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  return fd;
}

Received answer_of(const UniqueFd& fd) {
  Received received;
  CHECK(soon([&] {
    received = receive(fd.get(), true);
    return received.status != Received::Status::kNothing;
  }));
  return received;
}

HelloMessage hello() {
  HelloMessage message;
  message.max_held = 4;
  set_field(message.name, "raw");
  set_field(message.group, "infer");
  return message;
}

}  // namespace

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

int main() { return framebus::test::run_all(); }
