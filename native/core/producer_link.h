// A consumer's connection to one producer, and the thread that listens to it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bus_consumer.h"
#include "bus_message.h"
#include "bus_socket.h"
#include "error.h"
#include "pool_view.h"

namespace framebus {

// Why a link is over.
struct LinkEnd {
  std::string reason;
  bool revoked = false;  // The producer has said so.
};

// Told from the link's thread, without locks held.
class LinkListener {
 public:
  virtual void pool_mapped(const std::string& producer, std::shared_ptr<PoolView> pool) = 0;
  virtual void pool_retired(const std::string& producer, const std::string& epoch) = 0;
  // The connection ended by the producer's doing. The last call.
  virtual void link_gone(const std::string& producer, const LinkEnd& end) = 0;

 protected:
  ~LinkListener() = default;
};

class ProducerLink {
 public:
  // Connects and says hello; waits for a few seconds at most. `stop_fd`
  // (borrowed) becomes readable when everything must end. Throws
  // BUS_UNREACHABLE, BUS_REFUSED, BUS_CLOSED.
  ProducerLink(const BusConsumerOptions& options, std::string producer, int stop_fd,
               LinkListener& listener);
  // Joins the thread: only after the stop, or when the link is gone.
  ~ProducerLink() = default;
  ProducerLink(const ProducerLink&) = delete;
  ProducerLink& operator=(const ProducerLink&) = delete;

  // Has the pool mapped; waits for a few seconds at most. Throws
  // BUS_UNREACHABLE, BUS_ADMISSION, BUS_EPOCH_GONE, BUS_MEMORY,
  // MEMORY_UNSUPPORTED, BUS_CLOSED.
  void attach(const std::string& epoch);
  bool gone() const;
  const std::shared_ptr<LinkState>& state() const { return state_; }

 private:
  void connect(const std::string& path);
  void greet(const BusConsumerOptions& options);
  void wait_readable(std::chrono::milliseconds timeout);
  [[noreturn]] void unreachable(const std::string& why) const;
  void listen();
  std::optional<LinkEnd> handle(Received& received);
  std::optional<LinkEnd> handle_pool(const PoolMessage& pool, const std::vector<UniqueFd>& fds);
  std::optional<LinkEnd> refuse(uint64_t ticket, const std::optional<std::string>& epoch,
                                const Error& error);
  bool was_asked(uint64_t ticket, const std::string& epoch);
  void answer(uint64_t ticket, const Error* failure = nullptr);

  const std::string producer_;
  const int stop_fd_;  // Borrowed.
  const uint32_t hold_;
  const uint32_t min_hold_;
  LinkListener& listener_;
  const std::shared_ptr<LinkState> state_;

  mutable std::mutex mutex_;
  std::condition_variable answered_;
  // Attaches that wait, by ticket; filled when answered.
  struct Answer {
    bool there = false;
    // As text: an exception's message is shared between its copies, here of two threads.
    const char* code = nullptr;  // Null: it worked. Borrowed: a literal.
    std::string message;
  };
  std::map<uint64_t, Answer> waiting_;
  std::map<uint64_t, std::string> asked_;  // Epochs not answered yet, by ticket.
  uint64_t last_ticket_ = 0;
  std::optional<LinkEnd> gone_;
  bool stopped_ = false;

  std::jthread thread_;
};

}  // namespace framebus
