#include "heap_driver_run.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/units.h"

namespace faultline::diff {
namespace {

const char* explain(std::uint32_t status) {
  switch (status) {
    case kRunning: return "it died on the way";
    case kNotThisGlibc: return "SKIP: libc's malloc state does not look like glibc 2.36's";
    case kNoSeccomp: return "SKIP: seccomp filters are not allowed here";
    case kLogFull: return "more system calls than the log holds";
    case kBadCheck: return "malloc state read directly disagrees with mallinfo2";
    default: return "unknown status";
  }
}

int run_child(const std::string& driver, const std::string& tunables, const std::string& preload, int fd) {
  std::string setting = "GLIBC_TUNABLES=" + tunables;
  std::string library = "LD_PRELOAD=" + preload;
  std::string program = driver;
  char* arguments[] = {program.data(), nullptr};
  char* environment[] = {setting.data(), preload.empty() ? nullptr : library.data(), nullptr};
  const pid_t child = vfork();
  if (child == 0) {
    dup2(fd, kSharedFd);
    execve(program.c_str(), arguments, environment);
    _exit(127);
  }
  int status = -1;
  if (child > 0) waitpid(child, &status, 0);
  return status;
}

}  // namespace

Result<DriverRun> DriverRun::start(const std::string& driver, const std::string& tunables, const std::vector<Op>& ops,
                                   bool check_residency, const std::string& preload) {
  Shared header{};
  header.op_count = static_cast<std::uint32_t>(ops.size());
  header.call_capacity = static_cast<std::uint32_t>(ops.size() * 8 + 4096);
  header.answers_offset = sizeof(Shared) + ops.size() * sizeof(Op);
  header.calls_offset = header.answers_offset + ops.size() * sizeof(Answer);
  header.bytes = page_ceil(header.calls_offset + header.call_capacity * sizeof(Call));
  header.check_residency = check_residency ? 1 : 0;
  const int fd = memfd_create("heap_diff", 0);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(header.bytes)) != 0) return fail(make_error("memfd: {}", std::strerror(errno)));
  void* const mapping = mmap(nullptr, header.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  FL_ASSERT(mapping != MAP_FAILED);
  DriverRun run(static_cast<Shared*>(mapping), header.bytes);
  *run.shared_ = header;
  std::memcpy(run.shared_ + 1, ops.data(), ops.size() * sizeof(Op));
  const int status = run_child(driver, tunables, preload, fd);
  close(fd);
  if (run.header().status != kDone) {
    return fail(make_error("{} (wait status {:#x}, {} of {} operations)", explain(run.header().status), status,
                           run.header().ops_done, ops.size()));
  }
  return run;
}

DriverRun::DriverRun(DriverRun&& other) noexcept : shared_(std::exchange(other.shared_, nullptr)), bytes_(other.bytes_) {}

DriverRun::~DriverRun() {
  if (shared_ != nullptr) munmap(shared_, bytes_);
}

std::span<const Answer> DriverRun::answers() const {
  const char* const base = reinterpret_cast<const char*>(shared_);
  return {reinterpret_cast<const Answer*>(base + shared_->answers_offset), shared_->ops_done};
}

std::span<const Call> DriverRun::calls() const {
  const char* const base = reinterpret_cast<const char*>(shared_);
  return {reinterpret_cast<const Call*>(base + shared_->calls_offset), shared_->call_count};
}

}  // namespace faultline::diff
