#include "record/listener.h"

#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace faultline::record {

Result<Listener> Listener::open() {
  Listener listener;
  std::uint64_t random = 0;
  if (getrandom(&random, sizeof random, 0) != sizeof random) return fail(make_error("cannot get random bytes: {}", std::strerror(errno)));
  const std::string name = fmt::format("faultline-{}-{:016x}", getpid(), random);
  listener.name_ = "@" + name;
  listener.socket_ = Fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (!listener.socket_ || bind(listener.socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      listen(listener.socket_.get(), 512) != 0) {
    return fail(make_error("cannot listen for recorded programs: {}", std::strerror(errno)));
  }
  return listener;
}

std::optional<Greeting> Listener::accept() {
  for (;;) {
    Greeting greeting{Fd(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)), {}, 0};
    if (!greeting.connection) return std::nullopt;
    const timeval patience{0, 200'000};  // the hello follows the connect at once, or never
    setsockopt(greeting.connection.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ucred peer{};
    socklen_t size = sizeof peer;
    if (getsockopt(greeting.connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) continue;
    ssize_t got = 0;
    while ((got = recv(greeting.connection.get(), &greeting.hello, sizeof greeting.hello, 0)) < 0 && errno == EINTR) {
    }
    if (got != sizeof greeting.hello || greeting.hello.magic != wire::kMagic || greeting.hello.version != wire::kVersion) continue;
    if (geteuid() != 0 && peer.uid != geteuid() && peer.uid != getuid()) continue;
    greeting.pid = peer.pid != 0 ? peer.pid : greeting.hello.pid;
    return greeting;
  }
}

void Listener::answer(const Greeting& greeting, const wire::Welcome& welcome, int memory) {
  wire::Welcome copy = welcome;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part{&copy, sizeof copy};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (memory >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &memory, sizeof memory);
  }
  // A program that died meanwhile needs no answer.
  [[maybe_unused]] const ssize_t sent = sendmsg(greeting.connection.get(), &message, MSG_NOSIGNAL);
}

}  // namespace faultline::record
