// One misbehaving program per word on the command line. Exit status 0: the program saw nothing unusual.
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace {

#define REQUIRE(condition)                                          \
  do {                                                              \
    if (!(condition)) {                                             \
      std::fprintf(stderr, "%d: %s\n", __LINE__, #condition);       \
      return 1;                                                     \
    }                                                               \
  } while (false)

volatile std::size_t huge = static_cast<std::size_t>(-100);
void* volatile kept;

void churn(int count) {
  for (int i = 0; i < count; ++i) {
    void* volatile p = std::malloc(static_cast<std::size_t>(i % 700 + 1));
    std::free(p);
  }
}

int keeps_errno() {
  errno = 77;
  void* p = std::malloc(10);
  REQUIRE(p != nullptr && errno == 77);
  p = std::realloc(p, 100000);
  REQUIRE(errno == 77);
  std::free(p);
  REQUIRE(errno == 77);
  p = std::malloc(400000);
  std::memset(p, 1, 400000);
  std::free(p);
  REQUIRE(errno == 77);
  REQUIRE(std::malloc(huge) == nullptr && errno == ENOMEM);
  errno = 0;
  REQUIRE(std::calloc(huge, 3) == nullptr && errno == ENOMEM);
  errno = 0;
  REQUIRE(reallocarray(nullptr, huge, 7) == nullptr && errno == ENOMEM);
  errno = 55;
  void* q = &errno;
  REQUIRE(posix_memalign(&q, 3, 10) == EINVAL && q == &errno && errno == 55);
  REQUIRE(posix_memalign(&q, 64, 10) == 0 && (reinterpret_cast<std::uintptr_t>(q) & 63) == 0 && errno == 55);
  REQUIRE(malloc_usable_size(q) >= 10);
  std::free(q);
  kept = memalign(256, 5);
  kept = aligned_alloc(32, 64);
  kept = valloc(10);
  kept = pvalloc(10);
  kept = std::calloc(7, 11);
  REQUIRE(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1);
  REQUIRE(errno == 55);
  malloc_trim(0);
  REQUIRE(execl("/nonexistent", "x", static_cast<char*>(nullptr)) == -1 && errno == ENOENT);
  char* none[] = {nullptr};
  REQUIRE(execve("/nonexistent", none, environ) == -1 && errno == ENOENT);
  return 0;
}

// The handler allocates, but never while libc itself is interrupted: that would break any program.
std::uintptr_t libc_start, libc_end;
volatile sig_atomic_t handled;
void allocate_in_handler(int, siginfo_t*, void* context) {
  const auto pc = static_cast<std::uintptr_t>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
  if (pc >= libc_start && pc < libc_end) return;
  std::free(std::malloc(333));
  handled = handled + 1;
}

int signals(bool small_stack) {
  Dl_info info;
  dladdr(reinterpret_cast<void*>(&qsort), &info);
  libc_start = reinterpret_cast<std::uintptr_t>(info.dli_fbase);
  libc_end = libc_start + (2 << 20);
  struct sigaction action {};
  action.sa_sigaction = allocate_in_handler;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  if (small_stack) {
    static char stack[8192];
    stack_t alternate{};
    alternate.ss_sp = stack;
    alternate.ss_size = sizeof stack;
    REQUIRE(sigaltstack(&alternate, nullptr) == 0);
    action.sa_flags |= SA_ONSTACK;
  }
  sigaction(SIGALRM, &action, nullptr);
  const itimerval often{{0, 60}, {0, 60}};
  setitimer(ITIMER_REAL, &often, nullptr);
  // Work on tcache-sized blocks: the handler's own block has another size class, so glibc's state is never shared.
  for (int i = 0; i < 3000000 && handled < 3000; ++i) {
    kept = std::malloc(100);
    std::free(kept);
  }
  const itimerval never{};
  setitimer(ITIMER_REAL, &never, nullptr);
  REQUIRE(handled > 100);
  return 0;
}

int forks() {
  kept = std::malloc(7001);
  for (int i = 0; i < 3; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      kept = std::malloc(7002);
      std::exit(0);
    }
    int status;
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
  }
  const pid_t raw = static_cast<pid_t>(syscall(SYS_fork));
  if (raw == 0) {
    kept = std::malloc(7003);
    _exit(0);
  }
  int status;
  REQUIRE(waitpid(raw, &status, 0) == raw && status == 0);
  kept = std::malloc(7004);
  return 0;
}

// fork while other threads are in the middle of their records.
int fork_under_fire() {
  volatile bool stop = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&stop] { while (!stop) churn(100); });
  for (int i = 0; i < 15; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      churn(1000);
      std::exit(0);
    }
    int status;
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
  }
  stop = true;
  for (auto& t : threads) t.join();
  return 0;
}

int children() {
  char program[] = "/bin/true";
  char* argv[] = {program, nullptr};
  char variable[] = "ONLY=1";
  char* envp[] = {variable, nullptr};
  int status;
  const pid_t child = vfork();
  if (child == 0) {
    execve("/nonexistent", argv, environ);
    execv(program, argv);
    _exit(3);
  }
  REQUIRE(waitpid(child, &status, 0) == child && status == 0);
  pid_t spawned;
  REQUIRE(posix_spawn(&spawned, program, nullptr, nullptr, argv, envp) == 0);
  REQUIRE(waitpid(spawned, &status, 0) == spawned && status == 0);
  REQUIRE(posix_spawnp(&spawned, "true", nullptr, nullptr, argv, environ) == 0);
  REQUIRE(waitpid(spawned, &status, 0) == spawned && status == 0);
  REQUIRE(posix_spawn(&spawned, "/nonexistent", nullptr, nullptr, argv, environ) == ENOENT);
  REQUIRE(std::system("exec /bin/true") == 0);
  FILE* stream = popen("exec /usr/bin/env", "r");
  REQUIRE(stream != nullptr);
  char line[1024];
  while (std::fgets(line, sizeof line, stream) != nullptr) REQUIRE(std::strstr(line, "FAULTLINE") == nullptr);
  REQUIRE(pclose(stream) == 0);
  const pid_t last = fork();
  if (last == 0) execlp("true", "true", static_cast<char*>(nullptr));
  REQUIRE(waitpid(last, &status, 0) == last && status == 0);
  const pid_t with_environment = fork();
  if (with_environment == 0) execle("/bin/sh", "sh", "-c", "test \"$ONLY\" = 1 && test -z \"$HOME\"", static_cast<char*>(nullptr), envp);
  REQUIRE(waitpid(with_environment, &status, 0) == with_environment && status == 0);
  for (char** v = environ; *v != nullptr; ++v) REQUIRE(std::strncmp(*v, "FAULTLINE", 9) != 0);
  kept = std::malloc(7005);
  return 0;
}

int threads() {
  for (int round = 0; round < 62; ++round) {
    std::vector<std::thread> group;
    for (int i = 0; i < 8; ++i) group.emplace_back([] { churn(200); });
    for (auto& t : group) t.join();
  }
  return 0;
}

int many_threads() {  // more than there are rings, all alive
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, nullptr, 40);
  std::vector<std::thread> group;
  for (int i = 0; i < 40; ++i) {
    group.emplace_back([&barrier] {
      churn(10);
      pthread_barrier_wait(&barrier);
      churn(100);
      pthread_barrier_wait(&barrier);
    });
  }
  for (auto& t : group) t.join();
  return 0;
}

int plugins(const char* path) {
  for (int i = 0; i < 200; ++i) {
    void* handle = dlopen(path, RTLD_NOW);
    REQUIRE(handle != nullptr);
    const auto allocate = reinterpret_cast<void* (*)(std::size_t)>(dlsym(handle, "plugin_allocate"));
    REQUIRE(allocate != nullptr);
    void* p = allocate(7100);
    REQUIRE(dlclose(handle) == 0);
    std::free(p);
    if (i % 3 == 0) kept = mmap(nullptr, 1 << 16, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);  // the next load lies elsewhere
  }
  return 0;
}

int closed_descriptors() {
  int open = 0;  // as many as without the recorder, which keeps none
  for (int fd = 3; fd < 1024; ++fd) open += close(fd) == 0;
  if (dprintf(1, "%d\n", open) < 0) return 1;
  close(0);
  close(1);
  churn(200000);
  const int fd = dup(2);
  REQUIRE(fd == 0);
  dup2(2, 1);
  return 0;
}

int touches() {
  auto* large = static_cast<char*>(std::malloc(1 << 20));  // own mapping: 257 pages
  for (int page = 0; page < 10; ++page) large[page * 4096 + 100] = 1;
  large[100 * 4096] = 1;
  std::free(large);
  auto* medium = static_cast<char*>(std::malloc(65536));
  kept = std::malloc(10);
  std::memset(medium, 1, 65536);
  std::free(medium);
  return 0;
}

// A block on memory that was used before: one page written, one given back, one not readable when the block is freed.
int contents() {
  auto* before = static_cast<char*>(std::malloc(65536));
  kept = std::malloc(10);
  std::memset(before, 1, 65536);
  std::free(before);
  auto* block = static_cast<char*>(std::malloc(65536));
  REQUIRE(block == before);
  auto* page = reinterpret_cast<char*>((reinterpret_cast<std::uintptr_t>(block) + 4095) & ~std::uintptr_t{4095});
  page[2 * 4096 + 600] = 7;
  REQUIRE(madvise(page + 4 * 4096, 4096, MADV_DONTNEED) == 0);
  REQUIRE(mprotect(page + 6 * 4096, 4096, PROT_NONE) == 0);
  std::free(block);
  REQUIRE(mprotect(page + 6 * 4096, 4096, PROT_READ | PROT_WRITE) == 0);
  unsigned char resident = 1;
  REQUIRE(mincore(page + 4 * 4096, 4096, &resident) == 0 && (resident & 1) == 0);
  kept = std::malloc(65536);  // alive at the end
  static_cast<char*>(kept)[10 * 4096] = 9;
  return 0;
}

int calls() {
  void* p = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(p != MAP_FAILED);
  REQUIRE(madvise(p, 8192, MADV_DONTNEED) == 0);
  REQUIRE(mprotect(p, 4096, PROT_READ) == 0);
  p = mremap(p, 8192, 4096, 0);
  REQUIRE(p != MAP_FAILED);
  REQUIRE(munmap(p, 4096) == 0);
  errno = 0;
  REQUIRE(munmap(reinterpret_cast<void*>(1), 4096) == -1 && errno == EINVAL);
  char* end = static_cast<char*>(sbrk(0));
  REQUIRE(sbrk(4096) == end && sbrk(0) == end + 4096);
  REQUIRE(brk(end) == 0 && sbrk(0) == end);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const char* what = argv[1];
  if (std::strcmp(what, "errno") == 0) return keeps_errno();
  if (std::strcmp(what, "signals") == 0) return signals(false);
  if (std::strcmp(what, "small-stack") == 0) return signals(true);
  if (std::strcmp(what, "fork") == 0) return forks();
  if (std::strcmp(what, "fork-under-fire") == 0) return fork_under_fire();
  if (std::strcmp(what, "children") == 0) return children();
  if (std::strcmp(what, "threads") == 0) return threads();
  if (std::strcmp(what, "many-threads") == 0) return many_threads();
  if (std::strcmp(what, "plugins") == 0) return plugins(argv[2]);
  if (std::strcmp(what, "closed") == 0) return closed_descriptors();
  if (std::strcmp(what, "touches") == 0) return touches();
  if (std::strcmp(what, "contents") == 0) return contents();
  if (std::strcmp(what, "calls") == 0) return calls();
  if (std::strcmp(what, "churn") == 0) {
    churn(argc > 2 ? std::atoi(argv[2]) : 1000000);
    return 0;
  }
  if (std::strcmp(what, "exit-now") == 0) {
    churn(10);
    _exit(5);
  }
  if (std::strcmp(what, "quick-exit") == 0) {
    churn(10);
    std::quick_exit(6);
  }
  if (std::strcmp(what, "killed") == 0) {
    churn(5000);
    kill(getpid(), SIGKILL);
  }
  return 2;
}
