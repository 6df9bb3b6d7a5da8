#include "kernel_process.h"

#include "test_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <new>
#include <stdexcept>
#include <string>

namespace faultline::spec {

// turn: 0 the tester's, 1 the process's. Both sides sleep on it with a futex.
struct Mailbox {
  std::atomic<std::uint32_t> turn{1};
  std::uint32_t quit = 0;
  std::uint32_t in_use = 0;
  Call call;
  Answer answer;
  char path[256] = {};  // open
};

// One mailbox for each process that lives at the same time; mapped shared before the first fork, so that all see them.
class Mailboxes {
 public:
  static constexpr std::size_t kCount = 16;
  struct Shared {
    std::uint64_t start_brk = 0;
    std::uint64_t in_use[16] = {};  // by RLIMIT_*: what limits are counted from
    pid_t tester = 0;
    Mailbox boxes[kCount];
  };

  Mailboxes() {
    void* place = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) throw std::runtime_error("no shared memory");
    shared_ = new (place) Shared;
    shared_->tester = ::getpid();
  }
  ~Mailboxes() { ::munmap(shared_, sizeof(Shared)); }
  Mailboxes(const Mailboxes&) = delete;
  Mailboxes& operator=(const Mailboxes&) = delete;
  Shared& operator*() { return *shared_; }
  Shared* operator->() { return shared_; }

  std::size_t take() {
    for (std::size_t slot = 0; slot < kCount; ++slot) {
      Mailbox& box = shared_->boxes[slot];
      if (box.in_use != 0) continue;
      box.in_use = 1;
      box.quit = 0;
      box.turn.store(1);
      return slot;
    }
    throw std::runtime_error("too many processes at once");
  }

 private:
  Shared* shared_ = nullptr;
};

namespace {

// Wakes up now and then to see whether the tester is still there: an orphan ends.
void wait_for(std::atomic<std::uint32_t>& turn, std::uint32_t wanted, pid_t tester = 0) {
  const timespec patience{2, 0};
  while (true) {
    const std::uint32_t now = turn.load(std::memory_order_acquire);
    if (now == wanted) return;
    ::syscall(SYS_futex, &turn, FUTEX_WAIT, now, tester != 0 ? &patience : nullptr, nullptr, 0);
    if (tester != 0 && ::kill(tester, 0) != 0) ::_exit(1);
  }
}
void give(std::atomic<std::uint32_t>& turn, std::uint32_t to) {
  turn.store(to, std::memory_order_release);
  ::syscall(SYS_futex, &turn, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

// --- in the child: no allocation, no libc call that could touch new memory ---

sigjmp_buf after_fault;

// The jump carries si_code: SEGV_MAPERR 1, SEGV_ACCERR 2.
void on_fault(int signal, siginfo_t* info, void*) { siglongjmp(after_fault, signal == SIGSEGV ? info->si_code : 16); }

struct Faults {
  std::uint64_t minor = 0, major = 0;
};

Faults faults() {
  rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  return {static_cast<std::uint64_t>(usage.ru_minflt), static_cast<std::uint64_t>(usage.ru_majflt)};
}

// Uninstrumented: the shadow of a sanitizer would fault too.
__attribute__((no_sanitize("address", "undefined"))) int touch_page(std::uint64_t address, bool write) {
  if (const int code = sigsetjmp(after_fault, 1); code != 0) return code;
  auto* byte = reinterpret_cast<volatile char*>(address);
  if (write) {
    *byte = 1;
  } else {
    (void)*byte;
  }
  return 0;
}

Answer result_of(long value) {
  Answer answer;
  answer.value = value;
  if (value == -1) answer.error = errno;
  return answer;
}

Answer place_of(long value, std::uint64_t length) {
  Answer answer = result_of(value);
  const auto address = static_cast<std::uint64_t>(value);
  if (answer.error == 0 && (address < kWindow || address >= kWindow + kWindowBytes)) {
    ::syscall(SYS_munmap, address, length);
    answer.value = kElsewhere;
  }
  return answer;
}

Answer set_limit(const Call& call, const std::uint64_t* in_use) {
  const auto resource = static_cast<__rlimit_resource>(call.a);
  rlimit limit;
  ::getrlimit(resource, &limit);
  const std::uint64_t wanted = call.c != 0 ? RLIM_INFINITY : in_use[call.a % 16] + call.b;
  limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
  return result_of(::setrlimit(resource, &limit));
}

Answer mincore(const Call& call) {
  unsigned char present[64] = {};
  Answer answer = result_of(::syscall(SYS_mincore, call.a, call.b, present));
  if (answer.error != 0) return answer;
  for (std::uint64_t i = 0; i < 63; ++i) answer.value |= static_cast<std::int64_t>(present[i] & 1u) << i;
  return answer;
}

constexpr int kFirstFile = 200;  // descriptor of slot 0

Answer open_file(const Call& call, const char* path) {
  const int fd = ::open(path, (call.e != 0 ? O_RDONLY : O_RDWR) | O_CLOEXEC);
  if (fd < 0) return result_of(-1);
  const Answer answer = result_of(::dup2(fd, kFirstFile + static_cast<int>(call.a)));
  ::close(fd);
  return answer;
}

Answer perform(const Call& call, const Mailboxes::Shared& shared, const Mailbox& box) {
  const std::uint64_t start_brk = shared.start_brk;
  switch (call.op) {
    case Op::mmap: return place_of(::syscall(SYS_mmap, call.a, call.b, call.c, call.d, -1, 0), call.b);
    case Op::mmap_keep: return result_of(::syscall(SYS_mmap, call.a, call.b, call.c, call.d, -1, 0));
    case Op::mremap_keep: return result_of(::syscall(SYS_mremap, call.a, call.b, call.c, call.d, call.e));
    case Op::munmap: return result_of(::syscall(SYS_munmap, call.a, call.b));
    case Op::mprotect: return result_of(::syscall(SYS_mprotect, call.a, call.b, call.c));
    case Op::mremap: return place_of(::syscall(SYS_mremap, call.a, call.b, call.c, call.d, call.e), call.c);
    case Op::madvise: return result_of(::syscall(SYS_madvise, call.a, call.b, call.c));
    case Op::brk: {
      Answer answer;
      answer.value = ::syscall(SYS_brk, start_brk + call.a) - static_cast<long>(start_brk);
      return answer;
    }
    case Op::touch: {
      Answer answer;
      for (std::uint64_t at = call.a; at < call.a + call.b; at += kPage) {
        const int code = touch_page(at, call.c != 0);
        if (code != 0) ++answer.refused;
        if (code == 2) ++answer.no_access;
      }
      return answer;
    }
    case Op::mlock: return result_of(::syscall(SYS_mlock2, call.a, call.b, call.c));
    case Op::munlock: return result_of(::syscall(SYS_munlock, call.a, call.b));
    case Op::mlockall: return result_of(::syscall(SYS_mlockall, call.a));
    case Op::munlockall: return result_of(::syscall(SYS_munlockall));
    case Op::msync: return result_of(::syscall(SYS_msync, call.a, call.b, call.c));
    case Op::mincore: return mincore(call);
    case Op::limit: return set_limit(call, shared.in_use);
    case Op::reset:
      ::syscall(SYS_munmap, kWindow, kWindowBytes);
      ::syscall(SYS_brk, start_brk);
      ::syscall(SYS_munlockall);
      for (const std::uint64_t resource : {RLIMIT_AS, RLIMIT_DATA}) set_limit({Op::limit, resource, 0, 1}, shared.in_use);
      set_limit({Op::limit, RLIMIT_STACK, 8 << 20}, shared.in_use);
      set_limit({Op::limit, RLIMIT_MEMLOCK, 8 << 20}, shared.in_use);
      ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
      for (int slot = 0; slot < 4; ++slot) ::close(kFirstFile + slot);
      return {};
    case Op::huge: return result_of(::prctl(PR_SET_THP_DISABLE, call.a == 0 ? 1 : 0, 0, 0, 0));
    case Op::open: return open_file(call, box.path);
    case Op::map_file:
      return place_of(::syscall(SYS_mmap, call.a, call.b, call.c, call.d, kFirstFile + static_cast<int>(call.e >> 32),
                                (call.e & 0xffff'ffff) * kPage),
                      call.b);
    case Op::truncate: return result_of(::syscall(SYS_ftruncate, kFirstFile + static_cast<int>(call.a), call.b));
    case Op::fsync: return result_of(::syscall(SYS_fsync, kFirstFile + static_cast<int>(call.a)));
    case Op::fork:
    case Op::exit: break;  // serve() does them
  }
  return {};
}

Answer measure(const Call& call, const Mailboxes::Shared& shared, const Mailbox& box) {
  const Faults before = faults();
  Answer answer = perform(call, shared, box);
  const Faults after = faults();
  answer.minor_faults = after.minor - before.minor;
  answer.major_faults = after.major - before.major;
  return answer;
}

// Every page this loop runs on is copied or mapped before anything is counted; fork makes that necessary again on both
// sides. The place is far from the window. One page above the frame belongs to it: the frame of serve(), where getrusage
// writes, may lie across a page's end.
__attribute__((noinline, no_sanitize("address", "undefined"))) void touch_stack() {
  auto* const frame = static_cast<volatile char*>(__builtin_frame_address(0));
  for (std::int64_t page = 1; page >= -16; --page) {
    volatile char* const byte = frame + page * static_cast<std::int64_t>(kPage);
    *byte = *byte;
  }
}

void warm_up(const Mailboxes::Shared& shared, const Mailbox& box) {
  touch_stack();
  constexpr std::uint64_t place = kWindow - (std::uint64_t{1} << 32);
  for (int round = 0; round < 3; ++round) {
    measure({Op::mmap_keep, place, 4 * kPage, 3, 0x8032}, shared, box);
    measure({Op::mprotect, place, kPage, 1}, shared, box);
    measure({Op::touch, place, 6 * kPage, 1}, shared, box);
    measure({Op::touch, place, 6 * kPage, 0}, shared, box);
    measure({Op::mremap_keep, place, kPage, 2 * kPage, 0}, shared, box);
    measure({Op::madvise, place, kPage, 4}, shared, box);
    measure({Op::munmap, place, 8 * kPage}, shared, box);
    measure({Op::munmap, place, 0}, shared, box);  // one that fails writes errno
  }
}

// The heap this process inherited is given up: the specs need the break's start, and after the fork nothing here
// allocates any more.
[[noreturn]] void serve(Mailboxes::Shared& shared, std::size_t slot) {
  ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  struct sigaction action;
  ::memset(&action, 0, sizeof action);
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_NODEFER | SA_SIGINFO;
  ::sigaction(SIGSEGV, &action, nullptr);
  ::sigaction(SIGBUS, &action, nullptr);
  action.sa_flags = 0;
  action.sa_handler = SIG_IGN;  // nobody waits for a grandchild
  ::sigaction(SIGCHLD, &action, nullptr);
  ::syscall(SYS_brk, shared.start_brk);
  // Limits hold only for who has no CAP_IPC_LOCK; as root and unprivileged the answers are the same.
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  ::syscall(SYS_capset, &header, none);
  Mailbox* box = &shared.boxes[slot];
  warm_up(shared, *box);
  while (true) {
    give(box->turn, 0);
    wait_for(box->turn, 1, shared.tester);
    if (box->quit != 0) ::_exit(0);
    const Call call = box->call;
    if (call.op != Op::fork) {
      box->answer = measure(call, shared, *box);
      continue;
    }
    const long child = ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) box = &shared.boxes[call.a];
    warm_up(shared, *box);
    if (child != 0) box->answer = result_of(child);
  }
}

std::uint64_t start_of_break() {
  // proc(5): start_brk is field 47 of /proc/self/stat; the name in field 2 may hold blanks, so count after its ')'.
  char text[2048];
  std::FILE* file = std::fopen("/proc/self/stat", "r");
  if (file == nullptr) throw std::runtime_error("/proc/self/stat cannot be read");
  const std::size_t size = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  text[size] = 0;
  char* at = ::strrchr(text, ')');
  for (int field = 2; field < 47 && at != nullptr; ++field) at = ::strchr(at + 1, ' ');
  if (at == nullptr) throw std::runtime_error("/proc/self/stat has no field 47");
  return std::strtoull(at, nullptr, 10);
}

std::uint64_t kilobytes_of(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    std::uint64_t value = 0;
    if (word == name && file >> value) return value;
  }
  throw std::runtime_error(path + " has no " + name);
}

}  // namespace

KernelProcess::KernelProcess() : boxes_(std::make_shared<Mailboxes>()), slot_(boxes_->take()) {
  Mailboxes& boxes = *boxes_;
  boxes->start_brk = start_of_break();
  box_ = &boxes->boxes[slot_];
  pid_ = ::fork();
  if (pid_ == 0) serve(*boxes, slot_);
  if (pid_ < 0) throw std::runtime_error("fork failed");
  open_proc();
  const std::string status = "/proc/" + std::to_string(pid_) + "/status";
  boxes->in_use[RLIMIT_AS] = kilobytes_of(status, "VmSize:") << 10;
  boxes->in_use[RLIMIT_DATA] = kilobytes_of(status, "VmData:") << 10;
}

KernelProcess::KernelProcess(std::shared_ptr<Mailboxes> boxes, std::size_t slot, pid_t pid)
    : boxes_(std::move(boxes)), slot_(slot), box_(&(*boxes_)->boxes[slot]), pid_(pid) {
  open_proc();
}

void KernelProcess::open_proc() {
  const std::string proc = "/proc/" + std::to_string(pid_);
  maps_ = ::open((proc + "/maps").c_str(), O_RDONLY | O_CLOEXEC);
  pagemap_ = ::open((proc + "/pagemap").c_str(), O_RDONLY | O_CLOEXEC);
  pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  if (maps_ < 0 || pagemap_ < 0 || pidfd_ < 0) throw std::runtime_error(proc + ": maps, pagemap or the pid cannot be opened");
  wait_for(box_->turn, 0);
}

KernelProcess::~KernelProcess() {
  box_->quit = 1;
  give(box_->turn, 1);
  pollfd gone{pidfd_, POLLIN, 0};
  while (::poll(&gone, 1, -1) != 1) continue;
  ::waitpid(pid_, nullptr, 0);  // ours, or a grandchild that nobody waits for
  box_->in_use = 0;
  ::close(pidfd_);
  ::close(maps_);
  ::close(pagemap_);
}

std::unique_ptr<Process> KernelProcess::fork() {
  const std::size_t slot = boxes_->take();
  const Answer answer = run({Op::fork, slot});
  if (answer.error != 0) throw std::runtime_error("fork failed in the child");
  return std::unique_ptr<Process>(new KernelProcess(boxes_, slot, static_cast<pid_t>(answer.value)));
}

void KernelProcess::open(std::uint32_t slot, const TestFile& file, bool writable) {
  if (file.path().size() >= sizeof box_->path) throw std::runtime_error(file.path() + ": too long a name");
  ::strcpy(box_->path, file.path().c_str());
  if (run({Op::open, slot, 0, 0, 0, writable ? 0u : 1u}).error != 0) throw std::runtime_error(file.path() + ": cannot be opened");
}

Answer KernelProcess::run(const Call& call) {
  box_->call = call;
  give(box_->turn, 1);
  wait_for(box_->turn, 0);
  return box_->answer;
}

std::vector<Mapping> KernelProcess::between(std::uint64_t start, std::uint64_t end, std::uint64_t origin) {
  static char text[1 << 18];
  std::size_t size = 0;
  while (size < sizeof text - 1) {
    const ssize_t got = ::pread(maps_, text + size, sizeof text - 1 - size, static_cast<off_t>(size));
    if (got <= 0) break;
    size += static_cast<std::size_t>(got);
  }
  text[size] = 0;
  std::vector<Mapping> found;
  for (char* line = text; line != nullptr && *line != 0;) {
    char* at = line;
    Mapping m;
    m.start = std::strtoull(at, &at, 16);
    m.end = std::strtoull(at + 1, &at, 16);
    m.prot = (at[1] == 'r' ? 1u : 0u) | (at[2] == 'w' ? 2u : 0u) | (at[3] == 'x' ? 4u : 0u);
    if (m.end > start && m.start < end) found.push_back({m.start - origin, m.end - origin, m.prot});
    line = ::strchr(at, '\n');
    if (line != nullptr) ++line;
  }
  return found;
}

std::vector<Mapping> KernelProcess::mappings() { return between(kWindow, kWindow + kWindowBytes, 0); }

bool KernelProcess::wait_for_khugepaged() {
  const auto full_scans = [] {
    std::ifstream file("/sys/kernel/mm/transparent_hugepage/khugepaged/full_scans");
    std::uint64_t count = 0;
    file >> count;
    return count;
  };
  const std::uint64_t wanted = full_scans() + 1;
  for (int tenth = 0; tenth < 900 && full_scans() < wanted; ++tenth) ::usleep(100'000);
  return full_scans() >= wanted;
}

std::uint64_t KernelProcess::huge_bytes() {
  std::ifstream smaps("/proc/" + std::to_string(pid_) + "/smaps");
  std::uint64_t start = 0;
  std::uint64_t bytes = 0;
  for (std::string line; std::getline(smaps, line);) {
    if (const std::size_t dash = line.find('-'); dash != std::string::npos && line.find(' ') > dash) {
      start = std::strtoull(line.c_str(), nullptr, 16);
    }
    const bool inside = start >= kWindow && start < kWindow + kWindowBytes;
    if (inside && line.rfind("AnonHugePages:", 0) == 0) bytes += std::strtoull(line.c_str() + 14, nullptr, 10) << 10;
  }
  return bytes;
}

std::vector<Mapping> KernelProcess::everything() { return between(0, ~std::uint64_t{0}, 0); }

std::vector<Mapping> KernelProcess::heap() {
  const std::uint64_t start = (*boxes_)->start_brk;
  return between(start, start + kWindowBytes, start);
}

std::vector<std::uint8_t> KernelProcess::pages(std::uint64_t address, std::uint64_t bytes) {
  std::vector<std::uint64_t> entries(bytes / kPage);
  const auto offset = static_cast<off_t>(address / kPage * 8);
  const ssize_t got = ::pread(pagemap_, entries.data(), entries.size() * 8, offset);
  if (got != static_cast<ssize_t>(entries.size() * 8)) throw std::runtime_error("pagemap: short read");
  // Documentation/admin-guide/mm/pagemap.rst: bit 63 present, 61 page of a file or of shared memory, 56 mapped by this
  // process alone. The zero page is present and never exclusive.
  std::vector<std::uint8_t> found;
  for (const std::uint64_t entry : entries) {
    const bool present = (entry >> 63 & 1) != 0;
    const bool file = (entry >> 61 & 1) != 0;
    const bool exclusive = (entry >> 56 & 1) != 0;
    found.push_back(!present ? 0 : (file ? (exclusive ? 4 : 3) : (exclusive ? 2 : 1)));
  }
  return found;
}

}  // namespace faultline::spec
