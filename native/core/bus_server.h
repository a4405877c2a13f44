// The producer's door: hands pools to consumers over a unix socket, and
// returns a consumer's leases when its connection ends.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "frame_pool.h"

namespace framebus {

// As BusServerOptions of contract.ts.
struct BusServerOptions {
  std::string directory;
  std::string producer;
  std::vector<uint32_t> allow_uids;
  std::vector<uint32_t> allow_gids;
  std::string token = {};          // Empty: none is asked for.
  uint32_t lease_deadline_ms = 0;  // 0: leases have none.
};

// A frame that a consumer held when it went.
struct HeldFrame {
  std::string epoch;
  uint32_t slot = 0;
  uint64_t generation = 0;
};

// As BusServerEvent of contract.ts.
struct BusServerEvent {
  enum class Type { kAttached, kDetached, kRefused };
  Type type;
  std::string consumer;
  std::string group;
  uint32_t peer_uid = 0;
  std::string reason;
  std::vector<HeldFrame> held;
  bool revoked = false;
};

// Thread-safe. One thread of its own; nothing here waits for a consumer.
class BusServer {
 public:
  // Called on the server's thread, without locks held; never after close().
  using Listener = std::function<void(BusServerEvent event)>;

  // Throws Error (BAD_OPTIONS, BUS_DIRECTORY, BUS_IN_USE).
  static std::shared_ptr<BusServer> create(const BusServerOptions& options, Listener listener);
  virtual ~BusServer() = default;

  virtual const std::string& producer() const = 0;
  // Offers a pool until it is retired and drained. Throws BUS_CLOSED.
  virtual void add_pool(std::shared_ptr<FramePool> pool) = 0;
  // Consumers attached now, by group.
  virtual std::map<std::string, uint32_t> consumers() const = 0;
  // Pools on offer, and who is attached to them.
  virtual std::vector<PoolState> pools() const = 0;
  // Disconnects everybody, removes the socket. Idempotent.
  virtual void close() = 0;
};

}  // namespace framebus
