#include "shim_recorder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <cstddef>
#include <cstring>
#include <stdexcept>

namespace faultline::test {

struct StandInRecorder::Connection {
  wire::Hello hello{};
  char* base = nullptr;
  std::uint64_t segment_bytes = 0;
  std::vector<std::vector<std::uint8_t>> rings;

  wire::SegmentHeader& segment() { return *reinterpret_cast<wire::SegmentHeader*>(base); }
  wire::RingHeader* headers() { return reinterpret_cast<wire::RingHeader*>(base + wire::ring_header_offset()); }
  ~Connection() {
    if (base != nullptr) munmap(base, segment_bytes);
  }
};

StandInRecorder::StandInRecorder(RecorderSettings settings) : settings_(settings) {
  static std::atomic<int> count{0};
  name_ = fmt::format("faultline-shim-test-{}-{}", getpid(), count++);
  listener_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name_.data(), name_.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name_.size());
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener_, 128) != 0) {
    throw std::runtime_error("cannot listen");
  }
  thread_ = std::thread([this] { loop(); });
}

StandInRecorder::~StandInRecorder() {
  if (thread_.joinable()) {
    stop_ = true;
    thread_.join();
  }
  close(listener_);
}

void StandInRecorder::accept_one() {
  const int peer = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (peer < 0) return;
  auto c = std::make_unique<Connection>();
  if (recv(peer, &c->hello, sizeof c->hello, 0) != static_cast<ssize_t>(sizeof c->hello)) {
    close(peer);
    return;
  }
  wire::Welcome welcome{};
  welcome.magic = wire::kMagic;
  welcome.version = wire::kVersion;
  welcome.accepted = 1;
  welcome.ring_count = settings_.ring_count;
  welcome.ring_bytes = settings_.ring_bytes;
  welcome.segment_bytes = wire::payload_offset(settings_.ring_count) + settings_.ring_count * settings_.ring_bytes;
  const int memory = memfd_create("faultline", MFD_CLOEXEC);
  if (ftruncate(memory, static_cast<off_t>(welcome.segment_bytes)) != 0) throw std::runtime_error("ftruncate");
  c->segment_bytes = welcome.segment_bytes;
  c->base = static_cast<char*>(mmap(nullptr, welcome.segment_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0));
  wire::SegmentHeader& segment = c->segment();
  segment.magic = wire::kMagic;
  segment.version = wire::kVersion;
  segment.ring_count = settings_.ring_count;
  segment.ring_bytes = settings_.ring_bytes;
  segment.wrapped_calls = settings_.wrapped_calls ? 1 : 0;
  segment.recorder_pid = settings_.dead_recorder != 0 ? settings_.dead_recorder : getpid();
  c->rings.resize(settings_.ring_count);

  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part{&welcome, sizeof welcome};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &memory, sizeof memory);
  {
    const std::lock_guard lock(mutex_);
    connections_.push_back(std::move(c));
  }
  sendmsg(peer, &message, MSG_NOSIGNAL);
  close(memory);
  close(peer);
}

bool StandInRecorder::drain(Connection& c) {
  bool any = false;
  if (!settings_.freeze_heartbeat) c.segment().heartbeat.fetch_add(1);
  char* payloads = c.base + wire::payload_offset(settings_.ring_count);
  for (unsigned i = 0; i < settings_.ring_count && settings_.drain; ++i) {
    wire::RingHeader& header = c.headers()[i];
    const std::uint64_t written = header.written.load(std::memory_order_acquire);
    std::uint64_t consumed = header.consumed.load(std::memory_order_relaxed);
    if (written == consumed) continue;
    any = true;
    const auto* ring = reinterpret_cast<const std::uint8_t*>(payloads) + i * settings_.ring_bytes;
    while (settings_.keep && consumed != written) {
      const std::uint64_t at = consumed & (settings_.ring_bytes - 1);
      const std::uint64_t n = std::min(written - consumed, settings_.ring_bytes - at);
      c.rings[i].insert(c.rings[i].end(), ring + at, ring + at + n);
      consumed += n;
    }
    header.consumed.store(written, std::memory_order_release);
    header.space.fetch_add(1);
    syscall(SYS_futex, &header.space, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  }
  return any;
}

void StandInRecorder::loop() {
  while (!stop_) {
    pollfd p{listener_, POLLIN, 0};
    if (poll(&p, 1, 1) > 0) accept_one();
    const std::lock_guard lock(mutex_);
    for (auto& c : connections_) drain(*c);
  }
}

std::multimap<pid_t, RecordedProcess> StandInRecorder::finish() {
  stop_ = true;
  thread_.join();
  std::multimap<pid_t, RecordedProcess> processes;
  for (auto& c : connections_) {
    drain(*c);
    RecordedProcess p = decode(c->hello, c->rings);
    p.dropped = c->segment().dropped_events;
    p.exit_reported = c->segment().exit_reported != 0;
    if (!settings_.keep) {
      for (unsigned i = 0; i < settings_.ring_count; ++i) p.bytes += c->headers()[i].written;
    }
    processes.emplace(c->hello.pid, std::move(p));
  }
  return processes;
}

namespace {

RunResult spawn(const std::vector<std::string>& command, const std::vector<std::string>& environment) {
  int out[2];
  if (pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  std::vector<char*> argv, envp;
  for (const auto& a : command) argv.push_back(const_cast<char*>(a.c_str()));
  for (const auto& e : environment) envp.push_back(const_cast<char*>(e.c_str()));
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  const auto begin = std::chrono::steady_clock::now();
  const pid_t child = fork();
  if (child == 0) {
    dup2(out[1], 1);
    execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  close(out[1]);
  RunResult result;
  char buffer[4096];
  for (ssize_t n; (n = read(out[0], buffer, sizeof buffer)) > 0;) result.output.append(buffer, static_cast<std::size_t>(n));
  close(out[0]);
  waitpid(child, &result.wait_status, 0);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

std::vector<std::string> base_environment(const std::vector<std::string>& extra) {
  std::vector<std::string> environment{"PATH=/usr/bin:/bin", "HOME=/", "LC_ALL=C"};
  environment.insert(environment.end(), extra.begin(), extra.end());
  return environment;
}

}  // namespace

RunResult StandInRecorder::run(const std::vector<std::string>& command, const std::vector<std::string>& extra, const std::string& options) {
  std::vector<std::string> environment = base_environment({});
  std::string preload = fmt::format("LD_PRELOAD={}", FAULTLINE_SHIM_PATH);
  for (const auto& e : extra) {
    if (e.rfind("LD_PRELOAD=", 0) == 0) {
      preload += fmt::format(":{}", e.substr(11));
    } else {
      environment.push_back(e);
    }
  }
  environment.push_back(preload);
  environment.push_back(fmt::format("{}={}", wire::kSocketVariable, name_));
  environment.push_back(fmt::format("{}={}", wire::kOptionsVariable, options));
  environment.push_back(fmt::format("{}=", wire::kPadVariable));
  return spawn(command, environment);
}

RunResult run_plain(const std::vector<std::string>& command, const std::vector<std::string>& extra) {
  return spawn(command, base_environment(extra));
}

}  // namespace faultline::test
