#include "kernel.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <new>
#include <sstream>
#include <stdexcept>

namespace faultline::spec::solo {

namespace {

std::vector<Present> read_smaps(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps");
  std::vector<Present> found;
  for (std::string line; std::getline(file, line);) {
    unsigned long start = 0;
    unsigned long end = 0;
    if (::sscanf(line.c_str(), "%lx-%lx ", &start, &end) == 2 && line.find(':') > line.find(' ')) {
      Present one;
      one.start = start;
      one.end = end;
      std::istringstream words(line);
      std::string word;
      words >> word >> word >> std::hex >> one.offset >> one.device_major >> word;
      one.device_minor = static_cast<std::uint32_t>(std::strtoul(word.c_str() + 1, nullptr, 16));
      words >> std::dec >> one.inode >> std::ws;
      std::getline(words, one.name);
      found.push_back(one);
    } else if (line.rfind("VmFlags:", 0) == 0) {
      found.back().flags = line.substr(8);
    }
  }
  return found;
}

}  // namespace

Kernel::Kernel() {
  const int memory = ::memfd_create("solo", MFD_CLOEXEC);
  if (memory < 0 || ::ftruncate(memory, sizeof(Area)) != 0) throw std::runtime_error("no shared memory");
  void* place = ::mmap(nullptr, sizeof(Area), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (place == MAP_FAILED) throw std::runtime_error("no shared memory");
  area_ = new (place) Area;
  area_->tester = static_cast<std::uint32_t>(::getpid());
  const char* const program = FAULTLINE_SOLO_CHILD;
  pid_ = ::fork();
  if (pid_ == 0) {
    ::personality(ADDR_NO_RANDOMIZE);
    ::dup2(memory, 3);
    if (memory == 3) ::fcntl(3, F_SETFD, 0);
    char* const arguments[] = {const_cast<char*>("solo"), nullptr};
    char* const environment[] = {nullptr};
    ::execve(program, arguments, environment);
    ::_exit(127);
  }
  ::close(memory);
  if (pid_ < 0) throw std::runtime_error("fork failed");
  wait();
  present_ = read_smaps(pid_);
}

Kernel::~Kernel() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::munmap(area_, sizeof(Area));
}

void Kernel::wait() {
  const timespec patience{1, 0};
  while (area_->turn.load(std::memory_order_acquire) != 0) {
    ::syscall(SYS_futex, &area_->turn, FUTEX_WAIT, 1, &patience, nullptr, 0);
    int status = 0;
    if (area_->turn.load() != 0 && ::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      throw std::runtime_error("the solo child ended, status " + std::to_string(status));
    }
  }
  if (area_->failed != 0) {
    throw std::runtime_error(std::string("this kernel lacks something the solo child needs: ") + ::strerror(area_->failed));
  }
}

void Kernel::start(std::span<const Call> calls, const Watch& watch) {
  if (calls.size() > kMaxCalls) throw std::runtime_error("too many calls for one batch");
  std::copy(calls.begin(), calls.end(), area_->call);
  area_->calls = calls.size();
  area_->watch = watch;
  area_->turn.store(1, std::memory_order_release);
  ::syscall(SYS_futex, &area_->turn, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

std::span<const std::uint64_t> Kernel::finish() {
  wait();
  if (area_->words > kMaxWords) return {};
  return {area_->word, area_->words};
}

}  // namespace faultline::spec::solo
