#include "record/log_socket.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace faultline::record {
namespace {

constexpr std::size_t kBuffer = 16 * 1024;  // small: how far a new image may run before its mappings are looked at
constexpr rlim_t kAbove = 500;              // Valgrind raises the limit by 12 with every execve, and keeps what is above for itself

}  // namespace

Result<LogSocket> LogSocket::open() {
  LogSocket log;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return fail(make_error("cannot make a socket: {}", std::strerror(errno)));
  log.reader_ = Fd(ends[0]);
  const Fd other(ends[1]);
  const int on = 1;
  if (setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) return fail(make_error("cannot tell writers apart: {}", std::strerror(errno)));
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlim_t number = std::min(before.rlim_cur + kAbove, before.rlim_max - 1);
  const rlimit raised{before.rlim_max, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &raised);
  log.writer_ = Fd(dup2(ends[1], static_cast<int>(number)));  // without close-on-exec
  setrlimit(RLIMIT_NOFILE, &before);
  if (!log.writer_) return fail(make_error("cannot use descriptor {}: {}", number, std::strerror(errno)));
  log.buffer_.resize(kBuffer);
  return log;
}

LogSocket::Piece LogSocket::read() {
  iovec part{buffer_.data(), buffer_.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = 0;
  while ((got = recvmsg(reader_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {
  }
  if (got < 0) return {0, {}, errno != EAGAIN};
  if (got == 0) return {0, {}, true};
  Piece piece{0, {buffer_.data(), static_cast<std::size_t>(got)}, false};
  for (cmsghdr* entry = CMSG_FIRSTHDR(&message); entry != nullptr; entry = CMSG_NXTHDR(&message, entry)) {
    if (entry->cmsg_level != SOL_SOCKET || entry->cmsg_type != SCM_CREDENTIALS) continue;
    ucred who{};
    std::memcpy(&who, CMSG_DATA(entry), sizeof who);
    piece.pid = who.pid;
  }
  return piece;
}

void LogSocket::drain_in_background() {
  if (fork() != 0) {
    reader_ = Fd();
    return;
  }
  // The child: nothing of ours is kept open but the socket, so that nobody waits for our output to end.
  setsid();
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) close(descriptor);
  while (::read(reader_.get(), buffer_.data(), buffer_.size()) > 0) {
  }
  _exit(0);
}

}  // namespace faultline::record
