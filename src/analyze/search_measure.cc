#include "analyze/search_measure.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>

#include "heap/tunable_table.h"

namespace faultline::analyze {
namespace {

struct BeforeExec {  // in a page shared with the run
  std::uint64_t minor_faults = 0, major_faults = 0;
  std::int32_t exec_errno = 0;
};

std::uint64_t nanoseconds(const timeval& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_usec) * 1000u;
}

[[noreturn]] void become(std::vector<char*>& argv, const char* without, bool quiet, BeforeExec* before) {
  for (; *without != '\0'; without += std::strlen(without) + 1) unsetenv(without);
  if (quiet) {
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0) dup2(null, STDOUT_FILENO);
  }
  // A first call warms the pages this path touches; the second one is the note.
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  before->exec_errno = 0;
  getrusage(RUSAGE_SELF, &usage);
  before->minor_faults = static_cast<std::uint64_t>(usage.ru_minflt);
  before->major_faults = static_cast<std::uint64_t>(usage.ru_majflt);
  execvp(argv[0], argv.data());
  before->exec_errno = errno;
  _exit(127);
}

// without: names, each with its '\0', and another one.
Measurement run_once(std::vector<char*>& argv, const char* without, bool quiet, BeforeExec* before) {
  Measurement m;
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = fork();
  if (child < 0) {
    m.exec_errno = errno;
    return m;
  }
  if (child == 0) become(argv, without, quiet, before);
  rusage usage{};
  while (wait4(child, &m.wait_status, 0, &usage) < 0 && errno == EINTR) {
  }
  m.wall_ns = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count());
  m.user_ns = nanoseconds(usage.ru_utime);
  m.system_ns = nanoseconds(usage.ru_stime);
  m.minor_faults = static_cast<std::uint64_t>(usage.ru_minflt) - before->minor_faults;
  m.major_faults = static_cast<std::uint64_t>(usage.ru_majflt) - before->major_faults;
  m.rss_peak_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  m.exec_errno = before->exec_errno;
  return m;
}

// The helper: one datagram in, the tunables and what is to be unset, one Measurement out, until the socket closes.
[[noreturn]] void serve(int socket, const std::vector<std::string>& command, bool quiet) {
  void* page = mmap(nullptr, sizeof(BeforeExec), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (page == MAP_FAILED) _exit(1);
  auto* before = static_cast<BeforeExec*>(page);
  std::vector<std::string> words = command;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  char tunables[4096];
  for (;;) {
    const ssize_t length = recv(socket, tunables, sizeof tunables - 2, 0);
    if (length <= 0) _exit(0);
    tunables[length] = tunables[length + 1] = '\0';
    const char* const without = tunables + std::strlen(tunables) + 1;
    if (tunables[1] == '\0') {  // the first byte is always there: an empty datagram would look like the end
      unsetenv("GLIBC_TUNABLES");
    } else {
      setenv("GLIBC_TUNABLES", tunables + 1, 1);
    }
    const Measurement m = run_once(argv, without, quiet, before);
    if (send(socket, &m, sizeof m, MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof m)) _exit(1);
  }
}

std::map<std::string, std::string> entries(const std::string& tunables) {
  std::map<std::string, std::string> list;
  for (std::size_t at = 0; at < tunables.size();) {
    const std::size_t colon = std::min(tunables.find(':', at), tunables.size());
    const std::string one = tunables.substr(at, colon - at);
    if (const std::size_t equals = one.find('='); equals != std::string::npos) list[one.substr(0, equals)] = one.substr(equals + 1);
    at = colon + 1;
  }
  return list;
}

}  // namespace

Result<Launcher> Launcher::start(const std::vector<std::string>& command, bool quiet) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    return fail(make_error("wanted a socket pair for the launcher: {}", std::strerror(errno)));
  }
  const pid_t helper = fork();
  if (helper < 0) {
    close(sockets[0]);
    close(sockets[1]);
    return fail(make_error("wanted a launcher process: {}", std::strerror(errno)));
  }
  if (helper == 0) {
    close(sockets[0]);
    serve(sockets[1], command, quiet);
  }
  close(sockets[1]);
  return Launcher(helper, sockets[0]);
}

Launcher::Launcher(Launcher&& other) noexcept : helper_(other.helper_), socket_(other.socket_) {
  other.helper_ = -1;
  other.socket_ = -1;
}

Launcher::~Launcher() {
  if (socket_ >= 0) close(socket_);
  if (helper_ > 0) waitpid(helper_, nullptr, 0);
}

Result<Measurement> Launcher::run(const std::string& tunables, const std::vector<std::string>& without) {
  std::string message = "=" + tunables + '\0';
  for (const std::string& name : without) message += name + '\0';
  if (message.size() > 4000) return fail(make_error("GLIBC_TUNABLES of {} bytes: at most 4000 are passed on", tunables.size()));
  Measurement m;
  if (send(socket_, message.data(), message.size(), MSG_NOSIGNAL) < 0 || recv(socket_, &m, sizeof m, 0) != static_cast<ssize_t>(sizeof m)) {
    return fail(make_error("the launcher process ended early: the command was not measured"));
  }
  if (m.exec_errno != 0) return fail(make_error("wanted to run the command, found: {}", std::strerror(m.exec_errno)));
  return m;
}

std::string other_tunables(const std::string& tunables) {
  std::string text;
  for (const auto& [name, value] : entries(tunables))
    if (!name.starts_with(heap::kTunablePrefix)) text += (text.empty() ? "" : ":") + name + "=" + value;
  return text;
}

std::string merged_tunables(const std::string& base, const std::string& changes) {
  std::map<std::string, std::string> all = entries(base);
  for (auto& [name, value] : entries(changes)) all[name] = value;
  std::string text;
  for (const auto& [name, value] : all) text += (text.empty() ? "" : ":") + name + "=" + value;
  return text;
}

}  // namespace faultline::analyze
