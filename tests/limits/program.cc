// limits_program PATTERN SEED FILE: runs a pattern on the real kernel, and prints what it cost as JSON: faults of itself and its
// children. FILE is the file of patterns that use one. limits_program --exec PROCS COMMAND...: the same for a command
// that begins in the group whose cgroup.procs that is; its output is lost.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "pattern.h"

namespace {

using namespace faultline::bench;

void check(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::exit(3);
}

class KernelSink final : public PatternSink {
 public:
  explicit KernelSink(const char* path, std::uint64_t pages) {
    if (pages == 0) return;
    file_ = open(path, O_RDONLY);
    check(file_ >= 0, path);
    check(posix_fadvise(file_, 0, 0, POSIX_FADV_DONTNEED) == 0, "fadvise");
  }
  void map(unsigned region, std::uint64_t pages) override { place(region, pages, -1); }
  void map_file(unsigned region, std::uint64_t pages) override { place(region, pages, file_); }
  void unmap(unsigned region) override {
    check(munmap(regions_[region].start, regions_[region].bytes) == 0, "munmap");
    regions_.erase(region);
  }
  void touch(unsigned region, std::uint64_t page, bool write) override {
    volatile char* const at = regions_[region].start + (page << 12);
    if (write) {
      *at = 1;
    } else {
      (void)*at;
    }
  }
  void read_file(std::uint64_t page, std::uint64_t pages) override {
    buffer_.resize(pages << 12);
    check(pread(file_, buffer_.data(), buffer_.size(), static_cast<off_t>(page << 12)) == static_cast<ssize_t>(buffer_.size()), "pread");
  }
  void fork(const std::function<void()>& child) override {
    const pid_t pid = ::fork();
    check(pid >= 0, "fork");
    if (pid == 0) {
      child();
      _exit(0);
    }
    int status = 0;
    check(waitpid(pid, &status, 0) == pid && status == 0, "child");
  }

 private:
  struct Region {
    char* start;
    std::size_t bytes;
  };
  void place(unsigned region, std::uint64_t pages, int file) {
    const std::size_t bytes = pages << 12;
    const bool anonymous = file < 0;
    void* const start = mmap(nullptr, bytes, anonymous ? PROT_READ | PROT_WRITE : PROT_READ, anonymous ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, file, 0);
    check(start != MAP_FAILED, "mmap");
    regions_[region] = {static_cast<char*>(start), bytes};
  }
  int file_ = -1;
  std::map<unsigned, Region> regions_;
  std::vector<char> buffer_;
};

[[noreturn]] void print(long minor, long major, int status) {
  std::printf("{\"minor_faults\": %ld, \"major_faults\": %ld}\n", minor, major);
  std::exit(status);
}

[[noreturn]] void execute(const char* group, char** command) {
  const int procs = open(group, O_WRONLY | O_CLOEXEC);
  check(procs >= 0, group);
  const pid_t pid = vfork();
  check(pid >= 0, "vfork");
  if (pid == 0) {
    if (write(procs, "0", 1) != 1) _exit(126);
    const int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, 0);
    dup2(nothing, 1);
    execv(command[0], command);
    _exit(127);
  }
  int status = 0;
  rusage spent{};
  check(wait4(pid, &status, 0, &spent) == pid, "wait4");
  print(spent.ru_minflt, spent.ru_majflt, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 3 && std::string(argv[1]) == "--exec") execute(argv[2], argv + 3);
  if (argc != 4) {
    std::fprintf(stderr, "usage: limits_program PATTERN SEED FILE\n");
    return 2;
  }
  for (const Pattern& pattern : patterns()) {
    if (pattern.name != argv[1]) continue;
    KernelSink sink(argv[3], pattern.file_pages);
    Draw draw(std::strtoull(argv[2], nullptr, 10));
    rusage before{}, own{}, children{};
    getrusage(RUSAGE_SELF, &before);
    pattern.run(sink, draw);
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);
    print(own.ru_minflt - before.ru_minflt + children.ru_minflt, own.ru_majflt - before.ru_majflt + children.ru_majflt, 0);
  }
  std::fprintf(stderr, "limits_program: no pattern %s\n", argv[1]);
  return 2;
}
