// One process of the torture as the referee has it: started by fork(), killed
// and stopped by signals.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "descriptor_feed.h"

namespace framebus::test {

class Actor {
 public:
  enum class State { kDown, kUp, kStopped };
  // Runs in the process; returns its exit code.
  using Role = std::function<int(uint32_t life, DescriptorFeed referee)>;

  Actor(std::string name, Role role) : name_(std::move(name)), role_(std::move(role)) {}

  const std::string& name() const { return name_; }
  pid_t pid() const { return pid_; }
  uint32_t life() const { return life_; }  // Counts its starts.
  State state() const { return state_; }
  bool is(State state) const { return state_ == state; }
  DescriptorFeed& feed() { return feed_; }

  // The caller has no threads.
  void start();
  void stop();
  void go_on();
  // SIGKILL, and waits for its end. Its feed can still be read.
  void kill();
  // It has closed its feed: waits for its end. What is wrong with it, or nothing.
  std::string reap();

  bool ready = false;      // Has said so.
  uint32_t plain_fds = 0;  // That it had then.
  int64_t due_ns = 0;      // To be started again, or to go on.
  bool leaving = false;    // Was told to quit.
  bool drained = false;    // Producers: has answered.
  bool checked = false;    // Producers: has answered.
  uint32_t attached = 0;   // Producers: consumers that it has.

 private:
  const std::string name_;
  const Role role_;
  pid_t pid_ = -1;
  uint32_t life_ = 0;
  State state_ = State::kDown;
  DescriptorFeed feed_;
};

}  // namespace framebus::test
