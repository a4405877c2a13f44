#include "torture_consumer.h"

#include <poll.h>

#include <map>
#include <memory>
#include <utility>

#include "attach_socket.h"
#include "cast.h"
#include "core/bus_consumer.h"
#include "core/error.h"
#include "process_census.h"
#include "stream_worker.h"

namespace framebus::test {
namespace {

int consume(const ConsumerRole& role, const DescriptorFeed& referee) {
  const GroupRole& group = kGroups[kConsumers[role.consumer]];
  Random random(role.seed);
  BusConsumerOptions options;
  options.directory = role.directory;
  options.name = consumer_name(role.consumer);
  options.group = group.name;
  options.max_held = group.hold;
  options.hold = group.hold;
  const auto bus = BusConsumer::create(options, [](const DetachedEvent&) {});
  Packet ready;
  ready.note = Note::kReady;
  ready.member = role.consumer;
  ready.count = census_of_fds(0).others;
  referee.tell(ready);
  std::map<uint32_t, std::unique_ptr<StreamWorker>> workers;
  for (uint32_t stream = 0; stream < kStreams.size(); ++stream) {
    if (!takes_from(stream, kConsumers[role.consumer])) continue;
    workers[stream] =
        std::make_unique<StreamWorker>(role.consumer, stream, random.next(), *bus, referee);
  }
  bool gone = false;
  while (!gone) {
    pollfd readable{referee.fd(), POLLIN, 0};
    ::poll(&readable, 1, -1);
    while (const auto packet = referee.take(gone)) {
      if (packet->note == Note::kHint) workers.at(packet->frame.stream)->offer(*packet);
      if (packet->note == Note::kReset) reset_attach_socket(referee.fd(), random);
      if (packet->note == Note::kQuit) gone = true;
    }
  }
  workers.clear();
  bus->close();
  return 0;
}

}  // namespace

int run_torture_consumer(const ConsumerRole& role, DescriptorFeed referee) {
  try {
    return consume(role, referee);
  } catch (const std::exception& error) {
    referee.fail(consumer_name(role.consumer) + ": " + error.what());
    return 1;
  }
}

}  // namespace framebus::test
