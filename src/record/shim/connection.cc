#include "record/shim/connection.h"

#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "record/shim/environment.h"
#include "record/shim/process.h"
#include "record/shim/raw_syscall.h"
#include "record/shim/text.h"

namespace faultline::shim {

namespace {

// Receives Welcome and the memfd that comes with it; -1 without one.
long receive_welcome(long socket, wire::Welcome& welcome) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part{&welcome, sizeof welcome};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const long got = raw_syscall(SYS_recvmsg, socket, address_of(&message), MSG_CMSG_CLOEXEC);
  if (got != static_cast<long>(sizeof welcome)) return -1;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return -1;
  int fd;
  __builtin_memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

bool sane(const wire::Welcome& w) {
  return w.magic == wire::kMagic && w.version == wire::kVersion && w.accepted != 0 && w.ring_count > 0 && w.ring_count <= 65536 &&
         (w.ring_bytes & (w.ring_bytes - 1)) == 0 && w.ring_bytes >= 4 * wire::kMaxRecordBytes &&
         w.segment_bytes >= wire::payload_offset(w.ring_count) + w.ring_count * w.ring_bytes;
}

}  // namespace

wire::SegmentHeader* connect_to_recorder(bool forked_without_exec, wire::Welcome& welcome) {
  welcome = {};
  const char* name = socket_name();
  if (name == nullptr || *name == 0) return nullptr;
  if (*name == '@') ++name;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = length_of(name);
  if (length + 1 > sizeof address.sun_path) return nullptr;
  __builtin_memcpy(address.sun_path + 1, name, length);

  const long socket = raw_syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (failed(socket)) return nullptr;
  const timeval patience{10, 0};
  raw_syscall(SYS_setsockopt, socket, SOL_SOCKET, SO_RCVTIMEO, address_of(&patience), sizeof patience);
  raw_syscall(SYS_setsockopt, socket, SOL_SOCKET, SO_SNDTIMEO, address_of(&patience), sizeof patience);
  const long address_bytes = static_cast<long>(offsetof(sockaddr_un, sun_path) + 1 + length);
  const wire::Hello hello{wire::kMagic, wire::kVersion, raw_getpid(), raw_getppid(), forked_without_exec ? 1 : 0, 0};
  long memory = -1;
  if (!failed(raw_syscall(SYS_connect, socket, address_of(&address), address_bytes)) &&
      raw_syscall(SYS_sendto, socket, address_of(&hello), sizeof hello, MSG_NOSIGNAL, 0, 0) == static_cast<long>(sizeof hello)) {
    memory = receive_welcome(socket, welcome);
  }
  raw_close(socket);
  wire::SegmentHeader* segment = nullptr;
  if (memory >= 0 && sane(welcome)) {
    const long at = map_aside(welcome.segment_bytes, MAP_SHARED, memory);
    if (!failed(at)) segment = reinterpret_cast<wire::SegmentHeader*>(at);
  }
  if (memory >= 0) raw_close(memory);
  if (segment != nullptr && (segment->magic != wire::kMagic || segment->version != wire::kVersion)) {
    raw_syscall(SYS_munmap, address_of(segment), static_cast<long>(welcome.segment_bytes));
    segment = nullptr;
  }
  return segment;
}

}  // namespace faultline::shim
