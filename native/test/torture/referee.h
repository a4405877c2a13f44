// Runs the torture: starts everybody, hurts them, and proves that nothing that
// must hold is broken by it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "actor.h"
#include "descriptor_plane.h"
#include "ledger.h"
#include "process_census.h"

namespace framebus::test {

struct TortureOptions {
  std::string directory;
  uint64_t seed = 0;
  double seconds = 60;
  uint64_t kills = 0;  // Ends when so many are done; 0: by time alone.
  double kills_a_second = 30;
  double check_every_s = 15;
  uint32_t lease_deadline_ms = 500;
  bool progress = false;
};

struct TortureCounts {
  uint64_t kills = 0;
  uint64_t producer_kills = 0;
  uint64_t quits = 0;
  uint64_t stops = 0;
  uint64_t resets = 0;
  uint64_t epochs = 0;
  uint64_t detached = 0;
  uint64_t revoked = 0;
  uint64_t stale = 0;
  uint64_t skipped = 0;
  uint64_t unreached = 0;
  uint64_t rests = 0;        // Times that everything was at rest and nothing was left over.
  uint64_t stop_proofs = 0;  // Consumers that were stopped and cost nobody a frame.
};

class Referee {
 public:
  Referee(const TortureOptions& options, const std::atomic<bool>& interrupted);
  ~Referee();
  Referee(const Referee&) = delete;
  Referee& operator=(const Referee&) = delete;

  void run();

  const std::vector<std::string>& failures() const { return failures_; }
  const std::deque<std::string>& last_moments() const { return moments_; }
  const TortureCounts& counts() const { return counts_; }
  const PlaneCounts& plane_counts() const { return plane_.counts(); }
  const Ledger& ledger() const { return ledger_; }
  double seconds() const;

 private:
  enum class Mood { kChaos, kCalm };

  void start(Actor& actor);
  void pump(int64_t most_ns);
  void read(Actor& actor);
  void hear(Actor& actor, const Packet& packet);
  void ended(Actor& actor, const std::string& how);
  void run_due();
  void hurt();
  void hurt_one(Actor& actor, bool producer);
  void kill(Actor& actor, bool producer);
  bool over() const;
  bool wait_until(const std::function<bool()>& condition, double seconds, const std::string& what);
  void chaos(double seconds);
  void rest();
  bool nothing_left_over(std::string& why);
  void check_ledger();
  void prove_stop();
  bool served(uint32_t stopped_group,
              const std::map<std::pair<uint32_t, uint32_t>, uint64_t>& from);
  void finish();
  void ask_state();
  void fail(const std::string& what);
  void note(const std::string& what);
  void show_progress();
  void each(const std::function<void(Actor&)>& work);

  const TortureOptions options_;
  const std::atomic<bool>& interrupted_;  // Borrowed.
  const std::string pools_;
  const int64_t start_ns_;
  Random random_;
  std::vector<Actor> producers_;
  std::vector<Actor> consumers_;
  Ledger ledger_;
  DescriptorPlane plane_;
  Mood mood_ = Mood::kCalm;
  int64_t next_hurt_ns_ = 0;
  int64_t next_progress_ns_ = 0;
  int stopped_on_purpose_ = -1;
  bool finishing_ = false;  // Nobody is started again.
  // Lives that ended, to be checked when nobody can have anything to say of them.
  std::deque<std::pair<int64_t, std::pair<uint32_t, uint32_t>>> ended_lives_;
  TortureCounts counts_;
  std::vector<std::string> failures_;
  std::deque<std::string> moments_;
};

}  // namespace framebus::test
