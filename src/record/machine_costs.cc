#include "record/machine_costs.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace faultline::record {
namespace {

constexpr std::size_t kPage = 4096;

double now_ns() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);  // CPU time: another process on this CPU is not the cost of a fault
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

// The median of some rounds of one measurement: a slow moment of the machine is no fact about it.
template <typename Measure>
double median_of(int rounds, Measure measure) {
  double values[16];
  rounds = std::min(rounds, 16);
  for (int i = 0; i < rounds; ++i) values[i] = measure();
  std::sort(values, values + rounds);
  return values[rounds / 2];
}

char* map_pages(std::size_t pages) {
  void* p = mmap(nullptr, pages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? nullptr : static_cast<char*>(p);
}

void touch(char* base, std::size_t pages) {
  for (std::size_t i = 0; i < pages; ++i) *const_cast<volatile char*>(base + i * kPage) = 1;
}

// Faults and the return of pages are timed together per cycle, as programs pay for them: map, touch, unmap.
void measure(trace::MachineCosts& costs) {
  constexpr std::size_t kPages = 2048;  // 8 MiB
  if (char* warm = map_pages(4 * kPages)) {  // the first touch after boot may pay for the host's backing: not typical
    touch(warm, 4 * kPages);
    munmap(warm, 4 * kPages * kPage);
  }
  double unmap_many = 0;
  costs.minor_fault_ns = median_of(9, [&] {
    char* p = map_pages(kPages);
    if (p == nullptr) return 0.0;
    const double t0 = now_ns();
    touch(p, kPages);
    const double t1 = now_ns();
    munmap(p, kPages * kPage);
    unmap_many = now_ns() - t1;
    return (t1 - t0) / kPages;
  });
  costs.mmap_ns = median_of(9, [] {
    char* p[64];
    const double t0 = now_ns();
    for (char*& one : p) one = map_pages(64);
    const double t1 = now_ns();
    for (char* one : p) munmap(one, 64 * kPage);
    return (t1 - t0) / 64;
  });
  costs.munmap_ns = median_of(9, [] {
    char* p[64];
    for (char*& one : p) touch(one = map_pages(64), 1);
    const double t0 = now_ns();
    for (char* one : p) munmap(one, 64 * kPage);
    return (now_ns() - t0) / 64;
  });
  costs.munmap_page_ns = std::max(0.0, (unmap_many - costs.munmap_ns) / kPages);
  costs.brk_ns = median_of(9, [] {
    constexpr int kCalls = 64;
    const double t0 = now_ns();
    for (int i = 0; i < kCalls; ++i) {
      if (sbrk(static_cast<intptr_t>(kPage)) == reinterpret_cast<void*>(-1)) return 0.0;
    }
    const double t1 = now_ns();
    sbrk(-static_cast<intptr_t>(kCalls * kPage));
    return (t1 - t0) / kCalls;
  });
  costs.madvise_ns = median_of(9, [] {
    char* p = map_pages(64);
    const double t0 = now_ns();
    for (int i = 0; i < 64; ++i) madvise(p, 64 * kPage, MADV_DONTNEED);
    const double t1 = now_ns();
    munmap(p, 64 * kPage);
    return (t1 - t0) / 64;
  });
  costs.mremap_ns = median_of(9, [] {
    char* p = map_pages(64);
    touch(p, 64);
    std::size_t pages = 64;
    const double t0 = now_ns();
    for (int i = 0; i < 32; ++i) {
      void* moved = mremap(p, pages * kPage, (pages + 16) * kPage, MREMAP_MAYMOVE);
      if (moved == MAP_FAILED) return 0.0;
      p = static_cast<char*>(moved);
      pages += 16;
    }
    const double t1 = now_ns();
    munmap(p, pages * kPage);
    return (t1 - t0) / 32;
  });
  costs.malloc_free_pair_ns = median_of(9, [] {
    constexpr int kPairs = 20000;
    const double t0 = now_ns();
    for (int i = 0; i < kPairs; ++i) {
      void* volatile p = malloc(static_cast<std::size_t>(32 + (i & 63)));
      free(p);
    }
    return (now_ns() - t0) / kPairs;
  });
}

}  // namespace

trace::MachineCosts measure_machine_costs() {
  trace::MachineCosts costs;
  void* shared = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return costs;
  const pid_t child = fork();
  if (child == 0) {
    trace::MachineCosts measured;
    measure(measured);
    std::memcpy(shared, &measured, sizeof measured);
    _exit(0);
  }
  int status = 0;
  if (child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    std::memcpy(&costs, shared, sizeof costs);
  }
  munmap(shared, kPage);
  return costs;
}

}  // namespace faultline::record
