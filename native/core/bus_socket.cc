#include "bus_socket.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "error.h"

namespace framebus {
namespace {

constexpr size_t kMaxFds = 253;  // SCM_MAX_FD.

[[noreturn]] void directory_error(const std::string& path, const char* action, int error) {
  throw Error("BUS_DIRECTORY",
              "frame bus socket " + path + ": cannot " + action + ": " + std::strerror(error));
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    throw Error("BUS_DIRECTORY", "frame bus socket " + path + ": the path is longer than " +
                                     std::to_string(sizeof(address.sun_path) - 1) +
                                     " bytes; choose a shorter bus directory");
  }
  path.copy(address.sun_path, path.size());
  return address;
}

bool same_file(int fd, const std::string& path) {
  struct stat open {};
  struct stat named {};
  return ::fstat(fd, &open) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

// Locks the producer's name for the life of the descriptor.
UniqueFd lock_name(const std::string& path, const std::string& producer) {
  while (true) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) directory_error(path, "create the lock", errno);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) directory_error(path, "lock", errno);
      throw Error("BUS_IN_USE", "frame bus producer '" + producer +
                                    "': another process serves that name in the same directory "
                                    "(lock " +
                                    path + "); stop it or choose another name");
    }
    // Its last owner may have removed the file between our open and our lock.
    if (same_file(fd.get(), path)) return fd;
  }
}

}  // namespace

std::string bus_socket_path(const std::string& directory, const std::string& producer) {
  std::string path = directory + "/" + producer + ".sock";
  address_of(path);
  return path;
}

BusListener::BusListener(const std::string& directory, const std::string& producer,
                         bool open_to_all)
    : path_(bus_socket_path(directory, producer)),
      lock_path_(directory + "/" + producer + ".lock") {
  const std::string temporary = path_ + ".new";
  const sockaddr_un address = address_of(temporary);
  lock_ = lock_name(lock_path_, producer);
  socket_ = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_) directory_error(path_, "make a socket", errno);
  ::unlink(temporary.c_str());  // Of a producer that died between bind and rename.
  if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    directory_error(path_, "bind", errno);
  }
  // Listening before it gets its name: whoever finds the name can connect.
  if (::chmod(temporary.c_str(), open_to_all ? 0666 : 0660) != 0 ||
      ::listen(socket_.get(), 64) != 0 || ::rename(temporary.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    directory_error(path_, "listen", error);
  }
}

BusListener::~BusListener() {
  ::unlink(path_.c_str());
  ::unlink(lock_path_.c_str());  // While the lock is held.
}

SendResult send_bytes(int fd, const void* data, size_t bytes, const std::vector<int>& fds) {
  iovec part{const_cast<void*>(data), bytes};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control{};
  if (!fds.empty() && fds.size() <= kMaxFds) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return SendResult::kSent;
  const bool full =
      errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ETOOMANYREFS;
  return full ? SendResult::kFull : SendResult::kGone;
}

Received receive(int fd, bool accept_fds) {
  Received received;
  iovec part{received.data.data(), received.data.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control{};
  if (accept_fds) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
  }
  ssize_t got = 0;
  do {
    got = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return received;
  if (got > 0) {
    received.status = Received::Status::kMessage;
    received.bytes = static_cast<size_t>(got);
    received.lost_fds = (message.msg_flags & MSG_CTRUNC) != 0;
    if ((message.msg_flags & MSG_TRUNC) != 0 || received.lost_fds) {
      received.bytes = kMessageBytes + 1;
    }
  } else {
    received.status = Received::Status::kGone;
  }
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); accept_fds && header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int taken = -1;
      std::memcpy(&taken, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      received.fds.emplace_back(taken);
    }
  }
  return received;
}

}  // namespace framebus
