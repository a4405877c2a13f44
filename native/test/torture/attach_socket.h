// Breaks a connection of this process's bus, as a network of one host never
// does by itself: shuts one attach socket down, whoever uses it just then.
#pragma once

#include <sys/socket.h>

#include <vector>

#include "../fuzz_kit.h"
#include "process_census.h"

namespace framebus::test {

// Not `spare`, and none that listens. A descriptor that was closed meanwhile
// does no harm.
inline void reset_attach_socket(int spare, Random& random) {
  std::vector<int> sockets;
  for (const int fd : census_of_fds(0).sockets) {
    int listens = 0;
    socklen_t bytes = sizeof(listens);
    if (fd == spare) continue;
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) == 0 && listens == 0) {
      sockets.push_back(fd);
    }
  }
  if (!sockets.empty()) ::shutdown(sockets[random.below(sockets.size())], SHUT_RDWR);
}

}  // namespace framebus::test
