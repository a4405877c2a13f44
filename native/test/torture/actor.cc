#include "actor.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace framebus::test {
namespace {

constexpr int kFeedFd = 3;

// Only standard streams and the feed are left; the referee alone hears Ctrl-C.
UniqueFd settle_child(int feed, pid_t referee) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != referee) ::_exit(1);
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGTERM, SIG_IGN);
  if (feed != kFeedFd && ::dup2(feed, kFeedFd) != kFeedFd) ::_exit(1);
  ::close_range(kFeedFd + 1, ~0U, 0);
  return UniqueFd(kFeedFd);
}

pid_t wait_for(pid_t pid, int& status) {
  pid_t got = -1;
  do {
    got = ::waitpid(pid, &status, 0);
  } while (got < 0 && errno == EINTR);
  return got;
}

}  // namespace

void Actor::start() {
  auto [ours, theirs] = DescriptorFeed::pair();
  const pid_t referee = ::getpid();
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (!ours || pid < 0) throw std::runtime_error(name_ + ": cannot be started");
  ++life_;
  if (pid == 0) {
    // Everything of the referee's stays as it is, open descriptors apart.
    std::exit(role_(life_, DescriptorFeed(settle_child(theirs.get(), referee))));
  }
  pid_ = pid;
  feed_ = DescriptorFeed(std::move(ours));
  state_ = State::kUp;
  ready = leaving = drained = checked = false;
}

void Actor::stop() {
  ::kill(pid_, SIGSTOP);
  state_ = State::kStopped;
}

void Actor::go_on() {
  ::kill(pid_, SIGCONT);
  state_ = State::kUp;
}

void Actor::kill() {
  int status = 0;
  ::kill(pid_, SIGKILL);
  wait_for(pid_, status);
  state_ = State::kDown;
}

std::string Actor::reap() {
  int status = 0;
  wait_for(pid_, status);
  state_ = State::kDown;
  if (WIFSIGNALED(status)) {
    return name_ + " died of signal " + std::to_string(WTERMSIG(status));
  }
  if (WEXITSTATUS(status) != 0) {
    return name_ + " ended with exit code " + std::to_string(WEXITSTATUS(status));
  }
  return leaving ? "" : name_ + " ended by itself";
}

}  // namespace framebus::test
