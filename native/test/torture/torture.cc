// The torture of the bus: `torture [--seconds N] [--kills K] [--seed S]
// [--rate KILLS_A_SECOND] [--json]`. Exit code 1 when anything was broken.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include "referee.h"
#include "scratch_directory.h"

using namespace framebus::test;

// Here a process forks and starts threads in the child.
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }

namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);

// A seed can be any number; these are not.
double number_of(const char* name, const char* value) {
  char* end = nullptr;
  const double number = std::strtod(value, &end);
  if (end != value && *end == '\0' && number >= 0) return number;
  std::fprintf(stderr, "torture: %s must be a number, not '%s'\n", name, value);
  std::exit(2);
}

struct Arguments {
  TortureOptions torture;
  bool json = false;
};

Arguments parse(int count, char** values) {
  Arguments arguments;
  arguments.torture.seed = static_cast<uint64_t>(std::time(nullptr));
  for (int i = 1; i < count; ++i) {
    const std::string name = values[i];
    if (name == "--json") {
      arguments.json = true;
      continue;
    }
    if (i + 1 >= count) {
      std::fprintf(stderr, "torture: %s needs a value\n", name.c_str());
      std::exit(2);
    }
    const char* const value = values[++i];
    const double number = number_of(name.c_str(), value);
    if (name == "--seconds") {
      arguments.torture.seconds = number;
    } else if (name == "--kills") {
      arguments.torture.kills = static_cast<uint64_t>(number);
    } else if (name == "--seed") {
      arguments.torture.seed = std::strtoull(value, nullptr, 10);
    } else if (name == "--rate") {
      arguments.torture.kills_a_second = number;
    } else if (name == "--check-every") {
      arguments.torture.check_every_s = number;
    } else {
      std::fprintf(stderr, "torture: what is %s?\n", name.c_str());
      std::exit(2);
    }
  }
  return arguments;
}

// For JSON; messages have no control characters.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out + '"';
}

class Report {
 public:
  explicit Report(bool json) : json_(json) {}
  void add(const char* name, uint64_t value) {
    if (json_) {
      text_ += ",\"" + std::string(name) + "\":" + std::to_string(value);
    } else {
      std::printf("%-24s %12llu\n", name, static_cast<unsigned long long>(value));
    }
  }
  void print(uint64_t seed, double seconds, const std::vector<std::string>& failures) {
    if (!json_) return;
    std::string list;
    for (const std::string& failure : failures) {
      if (!list.empty()) list += ',';
      list += quoted(failure);
    }
    std::printf("{\"name\":\"torture\",\"seed\":%llu,\"seconds\":%.1f%s,\"failures\":[%s]}\n",
                static_cast<unsigned long long>(seed), seconds, text_.c_str(), list.c_str());
  }

 private:
  const bool json_;
  std::string text_;
};

void report(const Arguments& arguments, const Referee& referee) {
  Report out(arguments.json);
  const TortureCounts& counts = referee.counts();
  out.add("kills", counts.kills);
  out.add("producer_kills", counts.producer_kills);
  out.add("stops", counts.stops);
  out.add("resets", counts.resets);
  out.add("quits", counts.quits);
  out.add("epochs", counts.epochs);
  out.add("detached", counts.detached);
  out.add("descriptors", referee.plane_counts().carried);
  out.add("descriptors_lost", referee.plane_counts().lost);
  out.add("descriptors_doubled", referee.plane_counts().doubled);
  out.add("descriptors_late", referee.plane_counts().late);
  out.add("frames", referee.ledger().frames());
  out.add("verified", referee.ledger().done_frames());
  out.add("given_back", referee.ledger().given_back());
  out.add("repeated", referee.ledger().repeated());
  out.add("revoked", counts.revoked);
  out.add("stale", counts.stale);
  out.add("skipped", counts.skipped);
  out.add("unreached", counts.unreached);
  out.add("rests", counts.rests);
  out.add("stop_proofs", counts.stop_proofs);
  out.print(arguments.torture.seed, referee.seconds(), referee.failures());
  if (referee.failures().empty()) return;
  std::fprintf(stderr, "\nThe last moments:\n");
  for (const std::string& moment : referee.last_moments()) {
    std::fprintf(stderr, "  %s\n", moment.c_str());
  }
  std::fprintf(stderr, "\nFailed, seed %llu:\n",
               static_cast<unsigned long long>(arguments.torture.seed));
  for (const std::string& failure : referee.failures()) {
    std::fprintf(stderr, "  %s\n", failure.c_str());
  }
}

}  // namespace

int main(int count, char** values) {
  Arguments arguments = parse(count, values);
  arguments.torture.progress = ::isatty(STDERR_FILENO) == 1;
  const auto stop = [](int) { interrupted = true; };
  std::signal(SIGINT, stop);
  std::signal(SIGTERM, stop);
  std::fprintf(stderr, "torture: seed %llu\n",
               static_cast<unsigned long long>(arguments.torture.seed));
  const ScratchDirectory directory;
  arguments.torture.directory = directory.path();
  bool broken = false;
  {
    Referee referee(arguments.torture, interrupted);
    referee.run();
    if (arguments.torture.progress) std::fprintf(stderr, "\r\x1b[2K");
    report(arguments, referee);
    broken = !referee.failures().empty();
  }
  const std::string leftover = directory.leftover();
  if (!broken && !interrupted && !leftover.empty()) {
    std::fprintf(stderr, "torture: a producer has left %s behind\n", leftover.c_str());
    broken = true;
  }
  if (interrupted) return 130;
  return broken ? 1 : 0;
}
