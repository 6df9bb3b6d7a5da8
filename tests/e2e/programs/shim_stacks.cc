// Prints what backtrace(3) sees and allocates at the same place: the recorded stack must be the same one.
// Line: "S size frame frame ..."; the first frame differs in the call site only and is left out.
#include <alloca.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>

#define NOINLINE __attribute__((noinline))

namespace {

std::size_t next_size = 40000;
std::uint64_t random_state = 1;
volatile int sink;

std::uint64_t random_number() {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

// What lies outside the innermost frame of code without tables: backtrace(3) ends there. One chain for each thread that runs such code.
struct Outer {
  const Outer* next;
  void* caller;  // return address of that frame
  void* frames[2000];
  int count;
};
const Outer* outer;

NOINLINE void probe() {
  static void* frames[2000];
  const int n = backtrace(frames, 2000);
  const std::size_t size = next_size++;
  std::printf("S %zu", size);
  for (int i = 1; i < n; ++i) std::printf(" %lx", reinterpret_cast<unsigned long>(frames[i]));
  for (const Outer* o = outer; o != nullptr; o = o->next) {
    std::printf(" %lx", reinterpret_cast<unsigned long>(o->caller));
    for (int i = 1; i < o->count; ++i) std::printf(" %lx", reinterpret_cast<unsigned long>(o->frames[i]));
  }
  std::printf("\n");
  void* volatile p = std::malloc(size);
  std::free(p);
  sink = sink + 1;
}

// Frames of different shapes. `depth` calls remain; which function comes next is random.
void descend(int depth);
NOINLINE void plain(int depth) { descend(depth); sink = sink + 1; }
NOINLINE void many_registers(int depth) {
  volatile long a = depth, b = a * 3, c = b ^ a, d = c + 1, e = d * b, f = e + c;
  long x = a + b, y = c + d, z = e + f, w = x * y, v = y * z, u = z * x;
  for (int i = 0; i < 2; ++i) {
    if (i == 0) descend(depth);
    x += y; y += z; z += w; w += v; v += u; u += x;
    asm volatile("" : "+r"(x), "+r"(y), "+r"(z), "+r"(w), "+r"(v), "+r"(u));
  }
  sink = static_cast<int>(x + y + z + w + v + u);
}
NOINLINE void with_alloca(int depth) {
  auto* p = static_cast<volatile char*>(alloca(16 + random_number() % 500));
  p[0] = 1;
  descend(depth);
  sink = p[0];
}
NOINLINE void realigned(int depth) {
  alignas(64) volatile float lanes[16];
  lanes[depth & 15] = 1;
  auto* p = static_cast<volatile char*>(alloca(8 + random_number() % 100));
  p[0] = 2;
  descend(depth);
  sink = static_cast<int>(lanes[3]) + p[0];
}
NOINLINE void aligned_only(int depth) {
  alignas(32) volatile double lanes[4];
  lanes[depth & 3] = 1;
  descend(depth);
  sink = static_cast<int>(lanes[1]);
}
NOINLINE void big_frame(int depth) {
  volatile char room[3000];
  room[depth & 1023] = 1;
  descend(depth);
  sink = room[2];
}
int compare_depth;
NOINLINE int compare(const void* a, const void* b) {
  if (compare_depth >= 0) {
    const int depth = compare_depth;
    compare_depth = -1;
    descend(depth);
  }
  return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}
NOINLINE void sorting(int depth) {
  int numbers[3] = {3, 1, 2};
  compare_depth = depth;
  qsort(numbers, 3, sizeof(int), compare);
  sink = numbers[0];
}
NOINLINE void throwing(int depth) {
  try {
    if (depth >= 0) throw std::runtime_error("x");
  } catch (const std::exception&) {
    descend(depth);
  }
  sink = sink + 1;
}
struct Unwound {
  int depth;
  NOINLINE ~Unwound() { descend(depth); }
};
NOINLINE void throws_past(int depth) {
  const Unwound guard{depth};
  throw 1;
}
NOINLINE void destructing(int depth) {
  try {
    throws_past(depth);
  } catch (int) {
    sink = sink + 1;
  }
}
NOINLINE void through_function(int depth) {
  const std::function<void()> f = [depth, s = std::string(40, 'x')] { descend(depth); sink = static_cast<int>(s.size()); };
  f();
  sink = sink + 1;
}

// Code as a JIT compiler makes it: a frame pointer and no tables. (call, argument, where its return address goes)
using Generated = void (*)(void (*)(void*), void*, void**);
Generated generated;
// The same with rbp as a variable: (call, argument, value)
using Careless = void (*)(void (*)(void*), void*, std::uint64_t);
Careless careless;
std::uint64_t forbidden;  // a page nobody may read

void generate() {
  static const unsigned char with_frame[] = {0x55, 0x48, 0x89, 0xe5,                                // push rbp; mov rbp, rsp
                                             0x48, 0x8b, 0x45, 0x08, 0x48, 0x89, 0x02,              // mov rax, [rbp + 8]; mov [rdx], rax
                                             0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0xff, 0xd0,        // mov rax, rdi; mov rdi, rsi; call rax
                                             0x5d, 0xc3};                                           // pop rbp; ret
  static const unsigned char without[] = {0x55, 0x48, 0x89, 0xd5,                                   // push rbp; mov rbp, rdx
                                          0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0xff, 0xd0, 0x5d, 0xc3};
  auto* code = static_cast<unsigned char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  std::memcpy(code, with_frame, sizeof with_frame);
  std::memcpy(code + 256, without, sizeof without);
  mprotect(code, 4096, PROT_READ | PROT_EXEC);
  mprotect(code + 4096, 4096, PROT_NONE);
  generated = reinterpret_cast<Generated>(code);
  careless = reinterpret_cast<Careless>(code + 256);
  forbidden = reinterpret_cast<std::uint64_t>(code + 4096);
}

NOINLINE void through_generated(int depth) {
  static std::size_t used;
  static Outer room[32];  // nested; the threads of this program run one after the other
  if (used == sizeof room / sizeof room[0]) return descend(depth);
  Outer& mine = room[used++];
  mine.next = outer;
  mine.count = backtrace(mine.frames, 2000);
  outer = &mine;
  struct Call {
    int depth;
  } call{depth};
  generated([](void* argument) { descend(static_cast<Call*>(argument)->depth); sink = sink + 1; }, &call, &mine.caller);
  outer = mine.next;
  --used;
  sink = sink + 1;
}

// Whatever rbp holds: nothing may be read that cannot be read. What the stack looks like then is nobody's claim.
NOINLINE void through_careless(int depth) {
  const auto here = reinterpret_cast<std::uint64_t>(__builtin_frame_address(0));
  const std::uint64_t values[] = {0, 8, here - 64, here + 8, here + 40000, here & ~std::uint64_t{4095}, forbidden, forbidden - 8, forbidden + 4096,
                                  ~std::uint64_t{0}, std::uint64_t{1} << 47, here + (std::uint64_t{1} << 20), here | 1};
  careless([](void*) { std::free(std::malloc(17)); }, nullptr, values[random_number() % (sizeof values / sizeof values[0])]);
  descend(depth);
  sink = sink + 1;
}

NOINLINE void descend(int depth) {
  if (depth <= 0 || random_number() % 16 == 0) {
    probe();
    sink = sink + 1;
    return;
  }
  using Shape = void (*)(int);
  static constexpr Shape kShapes[] = {plain, many_registers, with_alloca, realigned, aligned_only,
                                      big_frame, sorting, throwing, destructing, through_function, through_generated, through_careless};
  const unsigned calls = random_number() % 8 == 0 ? 2 : 1;
  for (unsigned i = 0; i < calls; ++i) {
    kShapes[random_number() % (sizeof kShapes / sizeof kShapes[0])](depth - 1 - static_cast<int>(i));
    if (random_number() % 4 == 0) probe();
  }
  sink = sink + 1;
}

NOINLINE void recurse(int depth) {
  if (depth == 0) probe();
  else recurse(depth - 1);
  sink = sink + 1;
}

NOINLINE void on_signal(int) {
  probe();
  sink = sink + 1;
}

void* thread_main(void*) {
  for (int i = 0; i < 50; ++i) descend(10);
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOFBF, 1 << 16);
  random_state = argc > 1 ? std::strtoull(argv[1], nullptr, 0) | 1 : 1;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 1000;
  void* warm[4];
  backtrace(warm, 4);  // loads libgcc_s
  generate();
  probe();
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigaction(SIGUSR1, &action, nullptr);
  raise(SIGUSR1);
  raise(SIGUSR1);
  stack_t alternate{};
  alternate.ss_size = 64 * 1024;
  alternate.ss_sp = mmap(nullptr, alternate.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  sigaltstack(&alternate, nullptr);
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR2, &action, nullptr);
  raise(SIGUSR2);
  for (const int depth : {10, 100, 200, 240, 300, 900, 901, 900, 1500, 10}) recurse(depth);
  pthread_t thread;
  pthread_create(&thread, nullptr, thread_main, nullptr);
  pthread_join(thread, nullptr);
  for (int i = 0; i < rounds; ++i) descend(static_cast<int>(random_number() % 24));
  return 0;
}
