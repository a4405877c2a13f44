#include "referee.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <thread>

#include "core/monotonic.h"
#include "torture_consumer.h"
#include "torture_producer.h"

namespace framebus::test {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kSecond = 1'000'000'000;
constexpr size_t kMoments = 60;
constexpr size_t kMostFailures = 20;
constexpr double kRestWithinS = 40;
constexpr uint64_t kBadPlane = 15;

}  // namespace

Referee::Referee(const TortureOptions& options, const std::atomic<bool>& interrupted)
    : options_(options),
      interrupted_(interrupted),
      pools_("torture-" + std::to_string(::getpid()) + "-"),
      start_ns_(monotonic_ns()),
      random_(options.seed),
      plane_(random_, ledger_, consumers_) {
  const auto seed = [this](uint64_t who, uint32_t life) {
    return Random(options_.seed ^ (who << 32 | life)).next();
  };
  for (uint32_t i = 0; i < kStreams.size(); ++i) {
    producers_.emplace_back(kStreams[i].producer, [=, this](uint32_t life, DescriptorFeed feed) {
      return run_torture_producer(
          {options_.directory, pools_, i, life, seed(i, life), options_.lease_deadline_ms},
          std::move(feed));
    });
  }
  for (uint32_t i = 0; i < kConsumers.size(); ++i) {
    consumers_.emplace_back(consumer_name(i), [=, this](uint32_t life, DescriptorFeed feed) {
      return run_torture_consumer({options_.directory, i, seed(100 + i, life)}, std::move(feed));
    });
  }
}

Referee::~Referee() {
  each([](Actor& actor) {
    if (!actor.is(Actor::State::kDown)) actor.kill();
  });
}

void Referee::each(const std::function<void(Actor&)>& work) {
  for (Actor& actor : producers_) work(actor);
  for (Actor& actor : consumers_) work(actor);
}

double Referee::seconds() const {
  return static_cast<double>(monotonic_ns() - start_ns_) / kSecond;
}

void Referee::note(const std::string& what) {
  std::array<char, 32> when{};
  std::snprintf(when.data(), when.size(), "%9.3f s  ", seconds());
  moments_.push_back(when.data() + what);
  if (moments_.size() > kMoments) moments_.pop_front();
}

void Referee::fail(const std::string& what) {
  note("FAILED: " + what);
  if (failures_.size() < kMostFailures) failures_.push_back(what);
}

bool Referee::over() const {
  return interrupted_ || !failures_.empty() || seconds() > options_.seconds ||
         (options_.kills > 0 && counts_.kills >= options_.kills);
}

// ---------------------------------------------------------------- hearing --

void Referee::hear(Actor& actor, const Packet& packet) {
  const std::string text = field_text(packet.text).value_or("");
  switch (packet.note) {
    case Note::kReady:
      actor.ready = true;
      actor.plain_fds = packet.count;
      return;
    case Note::kFailure:
      return fail(text);
    case Note::kPublished:
      return ledger_.published(packet.frame);
    case Note::kHint:
      return plane_.carry(packet);
    case Note::kGaveBack:
      return ledger_.gave_back(packet.group, packet.frame);
    case Note::kClosed:
      return ledger_.closed(packet.group, packet.frame);
    case Note::kDetached:
      ++counts_.detached;
      note(actor.name() + ": " + consumer_name(packet.member) + " is gone with " +
           std::to_string(packet.count) + " frames: " + text);
      if (stopped_on_purpose_ >= 0 && stopped_on_purpose_ != static_cast<int>(packet.member)) {
        fail(actor.name() + " has lost " + consumer_name(packet.member) + " while only " +
             consumer_name(static_cast<uint32_t>(stopped_on_purpose_)) + " was stopped: " + text);
      }
      return;
    case Note::kEpoch:
      ++counts_.epochs;
      return;
    case Note::kDrained:
      actor.drained = true;
      return;
    case Note::kChecked:
      actor.checked = true;
      actor.attached = packet.count;
      return;
    case Note::kDone:
      return ledger_.done(packet.group, packet.frame, packet.member);
    case Note::kRevoked:
      ++counts_.revoked;
      return;
    case Note::kStale:
      ++counts_.stale;
      return;
    case Note::kSkipped:
      ++counts_.skipped;
      return;
    case Note::kUnreached:
      ++counts_.unreached;
      return;
    case Note::kState:
      return note(actor.name() + ": " + text);
    default:
      return fail(actor.name() + " says what it must not say");
  }
}

void Referee::ended(Actor& actor, const std::string& how) {
  if (!how.empty()) fail(how);
  actor.feed().close();
  actor.due_ns = monotonic_ns() + static_cast<int64_t>(random_.below(20)) * kMs;
  for (uint32_t i = 0; i < producers_.size(); ++i) {
    if (&producers_[i] == &actor) ended_lives_.push_back({monotonic_ns(), {i, actor.life()}});
  }
}

void Referee::read(Actor& actor) {
  bool gone = false;
  while (const auto packet = actor.feed().take(gone)) hear(actor, *packet);
  if (!gone || !actor.feed()) return;
  ended(actor, actor.is(Actor::State::kDown) ? "" : actor.reap());
}

// Hears everybody, does what is due, for at most so long.
void Referee::pump(int64_t most_ns) {
  const int64_t until = monotonic_ns() + most_ns;
  do {
    std::vector<pollfd> watched;
    std::vector<Actor*> actors;
    each([&](Actor& actor) {
      if (!actor.feed()) return;
      watched.push_back({actor.feed().fd(), POLLIN, 0});
      actors.push_back(&actor);
    });
    const int ready = ::poll(watched.data(), watched.size(), 1);
    for (size_t i = 0; ready > 0 && i < watched.size(); ++i) {
      if (watched[i].revents != 0) read(*actors[i]);
    }
    run_due();
    show_progress();
  } while (monotonic_ns() < until);
}

void Referee::start(Actor& actor) {
  actor.start();
  note(actor.name() + " starts, life " + std::to_string(actor.life()));
}

void Referee::run_due() {
  const int64_t now = monotonic_ns();
  each([&](Actor& actor) {
    const bool due = now >= actor.due_ns;
    if (actor.is(Actor::State::kDown) && !actor.feed() && due && !finishing_) start(actor);
    if (actor.is(Actor::State::kStopped) && actor.due_ns > 0 && due) actor.go_on();
  });
  plane_.tick(now);
  while (!ended_lives_.empty() && now - ended_lives_.front().first > 10 * kSecond) {
    const auto [stream, life] = ended_lives_.front().second;
    for (const std::string& fault : ledger_.faults(stream, life, false)) fail(fault);
    ledger_.forget(stream, life);
    ended_lives_.pop_front();
  }
  if (mood_ == Mood::kChaos && now >= next_hurt_ns_) hurt();
}

// ---------------------------------------------------------------- hurting --

void Referee::kill(Actor& actor, bool producer) {
  note("kill " + actor.name() + (actor.is(Actor::State::kStopped) ? ", which was stopped" : ""));
  ++counts_.kills;
  counts_.producer_kills += producer ? 1 : 0;
  actor.kill();
  read(actor);  // What it said before it died.
}

void Referee::hurt_one(Actor& actor, bool producer) {
  const uint64_t pick = random_.below(100);
  if (pick < 70) return kill(actor, producer);
  if (!actor.is(Actor::State::kUp)) return;
  if (pick < 84) {
    const uint64_t how = random_.below(10);
    const uint64_t ms = how < 6   ? 1 + random_.below(50)
                        : how < 9 ? 50 + random_.below(250)
                                  : options_.lease_deadline_ms + 100 + random_.below(600);
    note("stop " + actor.name() + " for " + std::to_string(ms) + " ms");
    ++counts_.stops;
    actor.stop();
    actor.due_ns = monotonic_ns() + static_cast<int64_t>(ms) * kMs;
    return;
  }
  Packet order;
  order.note = pick < 96 ? Note::kReset : Note::kQuit;
  if (order.note == Note::kQuit) {
    note("quit " + actor.name());
    ++counts_.quits;
    actor.leaving = true;
  } else {
    note("reset a socket of " + actor.name());
    ++counts_.resets;
  }
  actor.feed().offer(order);
}

void Referee::hurt() {
  const bool producer = random_.below(100) < 18;
  std::vector<Actor>& from = producer ? producers_ : consumers_;
  Actor& actor = from[random_.below(from.size())];
  if (actor.feed() && !actor.leaving && !actor.is(Actor::State::kDown)) hurt_one(actor, producer);
  // 70 % of the turns are kills; the time between them is exponential.
  const double mean_s = 0.7 / options_.kills_a_second;
  const double uniform = static_cast<double>(1 + random_.below(1'000'000)) / 1'000'001.0;
  const int64_t now = monotonic_ns();
  next_hurt_ns_ = std::max(next_hurt_ns_, now - kSecond) +
                  static_cast<int64_t>(-std::log(uniform) * mean_s * static_cast<double>(kSecond));
}

void Referee::chaos(double seconds) {
  mood_ = Mood::kChaos;
  next_hurt_ns_ = monotonic_ns();
  plane_.set_bad(kBadPlane);
  const int64_t until = monotonic_ns() + static_cast<int64_t>(seconds * kSecond);
  while (monotonic_ns() < until && !over()) pump(20 * kMs);
  mood_ = Mood::kCalm;
  plane_.set_bad(0);
}

// ---------------------------------------------------------------- running --

bool Referee::wait_until(const std::function<bool()>& condition, double seconds,
                         const std::string& what) {
  const int64_t until = monotonic_ns() + static_cast<int64_t>(seconds * kSecond);
  while (!condition()) {
    if (!failures_.empty() || interrupted_) return false;
    if (monotonic_ns() > until) {
      ask_state();
      fail(what + " within " + std::to_string(static_cast<int>(seconds)) + " s");
      return false;
    }
    pump(2 * kMs);
  }
  return true;
}

void Referee::ask_state() {
  Packet order;
  order.note = Note::kState;
  for (Actor& actor : producers_) actor.feed().offer(order);
  pump(300 * kMs);
}

// Everything comes to rest: all frames are taken, all slots free, and nothing
// is open or mapped that need not be.
void Referee::rest() {
  each([](Actor& actor) {
    actor.due_ns = 1;
    actor.drained = false;
  });
  plane_.tick(0, true);
  const auto all_ready = [this] {
    bool ready = true;
    each([&](Actor& actor) {
      ready = ready && actor.is(Actor::State::kUp) && actor.ready && !actor.leaving;
    });
    return ready;
  };
  if (!wait_until(all_ready, kRestWithinS, "not all processes were up")) return;
  Packet order;
  order.note = Note::kDrain;
  for (Actor& actor : producers_) actor.feed().tell(order);
  const auto drained = [this] {
    return std::all_of(producers_.begin(), producers_.end(),
                       [](const Actor& actor) { return actor.drained; });
  };
  if (!wait_until(drained, kRestWithinS, "not all frames were taken")) return;
  std::string why;
  if (!wait_until([&] { return nothing_left_over(why); }, kRestWithinS, "nothing came to rest")) {
    if (!why.empty()) fail("left over: " + why);
    return;
  }
  check_ledger();
  ++counts_.rests;
  order.note = Note::kResume;
  for (Actor& actor : producers_) actor.feed().tell(order);
}

bool Referee::nothing_left_over(std::string& why) {
  Packet order;
  order.note = Note::kCheck;
  for (Actor& actor : producers_) {
    actor.checked = false;
    actor.feed().tell(order);
  }
  const auto checked = [this] {
    return std::all_of(producers_.begin(), producers_.end(),
                       [](const Actor& actor) { return actor.checked; });
  };
  if (!wait_until(checked, kRestWithinS, "not all slots could be counted")) return false;
  std::multiset<uint64_t> pools;
  std::multiset<uint64_t> lanes;
  const auto wrong = [&](const Actor& actor, const std::string& what) {
    why = actor.name() + " " + what;
    return false;
  };
  for (Actor& actor : producers_) {
    const FdCensus fds = census_of_fds(actor.pid());
    const MapCensus maps = census_of_maps(actor.pid(), pools_);
    if (maps.pools.size() != 1) return wrong(actor, "has more than its pool mapped");
    if (fds.memfds != 1) return wrong(actor, "has memfds open beside its pool's");
    if (fds.sockets.size() != 2 + actor.attached) return wrong(actor, "has sockets of nobody");
    if (fds.others != actor.plain_fds) return wrong(actor, "has more descriptors than at first");
    pools.insert(maps.pools.begin(), maps.pools.end());
    lanes.insert(maps.lanes.begin(), maps.lanes.end());
  }
  for (Actor& actor : consumers_) {
    const FdCensus fds = census_of_fds(actor.pid());
    const MapCensus maps = census_of_maps(actor.pid(), pools_);
    for (const uint64_t pool : maps.pools) {
      if (!pools.contains(pool)) return wrong(actor, "has a pool mapped that no producer has");
    }
    if (maps.pools.size() != maps.lanes.size()) return wrong(actor, "has pools without lanes");
    if (fds.memfds != 0) return wrong(actor, "has memfds open");
    if (fds.sockets.size() > 1 + kStreams.size()) return wrong(actor, "has sockets to nobody");
    if (fds.others != actor.plain_fds) return wrong(actor, "has more descriptors than at first");
    for (const uint64_t lane : maps.lanes) {
      const auto found = lanes.find(lane);
      if (found == lanes.end()) return wrong(actor, "has a lane that no producer looks at");
      lanes.erase(found);
    }
  }
  why = lanes.empty() ? "" : std::to_string(lanes.size()) + " lanes that no consumer has mapped";
  return lanes.empty();
}

// At rest: of living producers each frame must be done.
void Referee::check_ledger() {
  for (uint32_t i = 0; i < producers_.size(); ++i) {
    for (const std::string& fault : ledger_.faults(i, producers_[i].life(), true)) fail(fault);
  }
}

// Everybody else has had many frames, or all that there were: a film waits for
// a lossless group that is stopped.
bool Referee::served(uint32_t stopped_group,
                     const std::map<std::pair<uint32_t, uint32_t>, uint64_t>& from) {
  constexpr uint64_t kMany = 50;
  for (const auto& [key, before] : from) {
    const auto [stream, group] = key;
    const uint64_t done = ledger_.done_now(stream, group);
    if (group == stopped_group || done >= before + kMany) continue;
    const bool waits = kStreams[stream].film && kGroups[stopped_group].lossless;
    if (waits && !kGroups[group].lossless) continue;
    if (waits && done == ledger_.published_now(stream)) continue;
    return false;
  }
  return true;
}

// One consumer is stopped, whatever it holds just then; it stays so until all
// other groups have had their frames of every stream.
void Referee::prove_stop() {
  const auto victim = static_cast<uint32_t>(random_.below(consumers_.size()));
  const uint32_t group = kConsumers[victim];
  pump(static_cast<int64_t>(50 + random_.below(50)) * kMs);
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> from;
  for (uint32_t stream = 0; stream < kStreams.size(); ++stream) {
    for (uint32_t other = 0; other < kGroups.size(); ++other) {
      if (takes_from(stream, other)) from[{stream, other}] = ledger_.done_now(stream, other);
    }
  }
  Actor& actor = consumers_[victim];
  note("stop " + actor.name() + " until all others are served");
  ++counts_.stops;
  actor.stop();
  actor.due_ns = 0;
  stopped_on_purpose_ = static_cast<int>(victim);
  const bool all = wait_until([&] { return served(group, from); }, 20,
                              "while " + actor.name() + " was stopped, not all others were served");
  pump(static_cast<int64_t>(random_.below(2 * options_.lease_deadline_ms)) * kMs);
  stopped_on_purpose_ = -1;
  actor.go_on();
  counts_.stop_proofs += all ? 1 : 0;
}

void Referee::run() {
  each([this](Actor& actor) { start(actor); });
  while (!over()) {
    chaos(std::min(options_.check_every_s, options_.seconds - seconds()));
    if (!failures_.empty() || interrupted_) break;
    rest();
    if (!failures_.empty() || interrupted_) break;
    prove_stop();
  }
  if (failures_.empty() && !interrupted_) finish();
}

// One producer of each kind is killed and comes back; then all end in peace,
// and nothing must be left of anybody.
void Referee::finish() {
  kill(producers_.front(), true);
  kill(producers_.back(), true);
  rest();
  finishing_ = true;
  Packet order;
  order.note = Note::kQuit;
  each([&](Actor& actor) {
    actor.leaving = true;
    actor.feed().tell(order);
  });
  const auto all_down = [this] {
    bool down = true;
    each([&](Actor& actor) { down = down && actor.is(Actor::State::kDown); });
    return down;
  };
  if (!wait_until(all_down, kRestWithinS, "not all processes ended")) return;
  while (!ended_lives_.empty()) {
    const auto [stream, life] = ended_lives_.front().second;
    for (const std::string& fault : ledger_.faults(stream, life, false)) fail(fault);
    ended_lives_.pop_front();
  }
  const std::vector<pid_t> holders = holders_of(pools_);
  if (!holders.empty()) fail("memory of the bus is left in process " + std::to_string(holders[0]));
}

void Referee::show_progress() {
  const int64_t now = monotonic_ns();
  if (!options_.progress || now < next_progress_ns_) return;
  next_progress_ns_ = now + 200 * kMs;
  double share = seconds() / options_.seconds;
  if (options_.kills > 0) {
    share =
        std::max(share, static_cast<double>(counts_.kills) / static_cast<double>(options_.kills));
  }
  share = std::min(1.0, std::max(share, 0.001));
  std::fprintf(stderr, "\r\x1b[2K%5.1f %%  %llu kills, %llu frames, %llu failures, %.0f s left",
               100 * share, static_cast<unsigned long long>(counts_.kills),
               static_cast<unsigned long long>(ledger_.frames()),
               static_cast<unsigned long long>(failures_.size()), seconds() * (1 - share) / share);
}

}  // namespace framebus::test
