#include "record/child.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "trace/wire.h"

namespace faultline::record {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

Result<Child> Child::spawn(const std::string& path, const std::vector<std::string>& command,
                           const std::vector<std::string>& environment) {
  int gate[2], failure[2];
  if (pipe2(gate, O_CLOEXEC) != 0) return fail(make_error("cannot make a pipe: {}", std::strerror(errno)));
  if (pipe2(failure, O_CLOEXEC) != 0) {
    close(gate[0]);
    close(gate[1]);
    return fail(make_error("cannot make a pipe: {}", std::strerror(errno)));
  }
  // Everything that allocates happens here: between fork and execve the child only makes system calls, so that its
  // few page faults before execve are few.
  const std::vector<char*> argv = pointers(command), envp = pointers(environment);
  Child child;
  child.pid_ = fork();
  if (child.pid_ == 0) {
    close(gate[1]);
    char byte;
    ssize_t got = 0;
    while ((got = read(gate[0], &byte, 1)) < 0 && errno == EINTR) {
    }
    if (got != 1) _exit(125);  // the recorder gave up: the command must not run
    execve(path.c_str(), argv.data(), envp.data());
    int error = errno;
    if (error == ENOEXEC) {  // a script without #!: execvp(3) gives it to the shell
      std::vector<char*> shell{const_cast<char*>("/bin/sh"), const_cast<char*>(path.c_str())};
      shell.insert(shell.end(), argv.begin() + 1, argv.end());
      execve("/bin/sh", shell.data(), envp.data());
      error = errno;
    }
    if (write(failure[1], &error, sizeof error) < 0) _exit(126);
    _exit(127);
  }
  close(gate[0]);
  close(failure[1]);
  child.gate_ = Fd(gate[1]);
  child.failure_ = Fd(failure[0]);
  if (child.pid_ < 0) return fail(make_error("cannot fork: {}", std::strerror(errno)));
  return child;
}

Result<void> Child::release() {
  int error = 0;
  ssize_t got = 0;
  while ((got = write(gate_.get(), "", 1)) < 0 && errno == EINTR) {
  }
  gate_ = Fd();
  if (got != 1) return fail(make_error("ended before it was started"));
  while ((got = read(failure_.get(), &error, sizeof error)) < 0 && errno == EINTR) {
  }
  failure_ = Fd();
  if (got == sizeof error) return fail(make_error("cannot execute: {}", std::strerror(error)));
  return {};
}

void Child::cancel() {
  gate_ = Fd();
  failure_ = Fd();
  waitpid(pid_, nullptr, 0);
}

bool Child::ended(ChildUsage& usage) {
  const pid_t got = wait4(pid_, &usage.wait_status, WNOHANG, &usage.usage);
  return got == pid_ || (got < 0 && errno == ECHILD);
}

std::vector<std::string> child_environment(const std::string& shim, const std::string& socket_name, const std::string& options) {
  std::vector<std::string> environment;
  bool has_preload = false;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    if (text.starts_with("LD_PRELOAD=")) {
      const std::string own = text.substr(std::strlen("LD_PRELOAD="));
      environment.push_back("LD_PRELOAD=" + shim + (own.empty() ? "" : ":" + own));
      has_preload = true;
    } else if (!text.starts_with("FAULTLINE_")) {
      environment.push_back(text);
    }
  }
  std::vector<std::string> added;
  if (!has_preload) added.push_back("LD_PRELOAD=" + shim);
  added.push_back(std::string(wire::kSocketVariable) + "=" + socket_name);
  if (!options.empty()) added.push_back(std::string(wire::kOptionsVariable) + "=" + options);
  // An even number, so that the stack's alignment, and with it every stack address, is as without them (wire.h).
  if (added.size() % 2 != 0) added.push_back(std::string(wire::kPadVariable) + "=1");
  environment.insert(environment.end(), added.begin(), added.end());
  return environment;
}

}  // namespace faultline::record
