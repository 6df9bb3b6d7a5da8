// The solo child (wire.h): no libc, no start-up code, nothing that faults by surprise.
#include <asm/unistd.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/ioctl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <ucontext.h>

#include "wire.h"

using namespace faultline::spec;
using namespace faultline::spec::solo;

extern "C" {
// The compiler may call these.
void* memcpy(void* to, const void* from, std::size_t size) {
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
  return to;
}
void* memset(void* to, int value, std::size_t size) {
  void* const start = to;
  asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
  return start;
}
int read_byte(std::uint64_t address);  // 0, or fault_code
int write_byte(std::uint64_t address);
void touch_failed();
void restore_from_signal();
[[noreturn]] void child_main();
int fault_code = 0;
}

asm(R"(
.text
.globl _start
_start:
  andq $-16, %rsp
  call child_main
.globl read_byte
read_byte:
  movb (%rdi), %al
  xorl %eax, %eax
  ret
.globl write_byte
write_byte:
  movb $1, (%rdi)
  xorl %eax, %eax
  ret
.globl touch_failed
touch_failed:
  movl fault_code(%rip), %eax
  ret
.globl restore_from_signal
restore_from_signal:
  movl $15, %eax
  syscall
)");

namespace {

Area& area = *reinterpret_cast<Area*>(kAreaAddress);
int maps_file, pagemap_file, status_file, smaps_file;
std::uint64_t in_use[16];  // by RLIMIT_*: what limits are counted from

long call6(long number, std::uint64_t a = 0, std::uint64_t b = 0, std::uint64_t c = 0, std::uint64_t d = 0, std::uint64_t e = 0,
           std::uint64_t f = 0) {
  long result;
  register std::uint64_t r10 asm("r10") = d;
  register std::uint64_t r8 asm("r8") = e;
  register std::uint64_t r9 asm("r9") = f;
  asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}
std::uint64_t at(const volatile void* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }

[[noreturn]] void give_up(long error) {
  area.failed = static_cast<std::int32_t>(-error);
  area.turn.store(0);
  call6(__NR_futex, at(&area.turn), FUTEX_WAKE, 1);
  call6(__NR_exit_group, 1);
  __builtin_unreachable();
}
long must(long result) {
  if (result < 0) give_up(result);
  return result;
}

void on_fault(int signal, siginfo_t* info, void* context) {
  fault_code = signal == SIGSEGV ? info->si_code : 16;
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP] = static_cast<greg_t>(reinterpret_cast<std::uint64_t>(&touch_failed));
}

struct Faults {
  std::uint64_t minor, major;
};
Faults faults() {
  rusage usage;
  call6(__NR_getrusage, RUSAGE_SELF, at(&usage));
  return {static_cast<std::uint64_t>(usage.ru_minflt), static_cast<std::uint64_t>(usage.ru_majflt)};
}

// --- calls ---

Answer result_of(long value) {
  Answer answer;
  answer.value = value < 0 ? -1 : value;
  answer.error = value < 0 ? static_cast<std::int32_t>(-value) : 0;
  return answer;
}
// What was placed outside the window does not stay.
Answer place_of(long value, std::uint64_t length) {
  const Answer answer = result_of(value);
  const auto address = static_cast<std::uint64_t>(value);
  if (answer.error == 0 && (address < kWindow || address >= kWindow + kWindowBytes)) call6(__NR_munmap, address, length);
  return answer;
}

Answer set_limit(std::uint64_t resource, std::uint64_t soft) {
  std::uint64_t limit[2];
  call6(__NR_prlimit64, 0, resource, 0, at(limit));
  area.hard_limit[resource % 16] = limit[1];
  limit[0] = soft < limit[1] ? soft : limit[1];
  return result_of(call6(__NR_prlimit64, 0, resource, at(limit), 0));
}

std::uint64_t kilobytes_of(const char* text, const char* name) {
  for (; *text != 0; ++text) {
    int i = 0;
    while (name[i] != 0 && text[i] == name[i]) ++i;
    if (name[i] != 0) continue;
    for (text += i; *text == ' ' || *text == '\t';) ++text;
    std::uint64_t value = 0;
    for (; *text >= '0' && *text <= '9'; ++text) value = value * 10 + static_cast<std::uint64_t>(*text - '0');
    return value;
  }
  return 0;
}

void reset() {
  call6(__NR_munmap, kWindow, kWindowBytes);
  call6(__NR_brk, area.start_brk);
  call6(__NR_munlockall);
  for (const int resource : {RLIMIT_AS, RLIMIT_DATA}) set_limit(static_cast<std::uint64_t>(resource), RLIM_INFINITY);
  set_limit(RLIMIT_STACK, 8 << 20);
  set_limit(RLIMIT_MEMLOCK, 8 << 20);
  static char status[4096];
  const long size = must(call6(__NR_pread64, static_cast<std::uint64_t>(status_file), at(status), sizeof status - 1, 0));
  status[size] = 0;
  in_use[RLIMIT_AS] = kilobytes_of(status, "VmSize:") << 10;
  in_use[RLIMIT_DATA] = kilobytes_of(status, "VmData:") << 10;
  in_use[RLIMIT_MEMLOCK] = kilobytes_of(status, "VmLck:") << 10;
}

Answer perform(const Call& call) {
  switch (call.op) {
    case Op::mmap: return place_of(call6(__NR_mmap, call.a, call.b, call.c, call.d, ~std::uint64_t{0}, 0), call.b);
    case Op::mmap_keep: return result_of(call6(__NR_mmap, call.a, call.b, call.c, call.d, ~std::uint64_t{0}, 0));
    case Op::munmap: return result_of(call6(__NR_munmap, call.a, call.b));
    case Op::mprotect: return result_of(call6(__NR_mprotect, call.a, call.b, call.c));
    case Op::mremap: return place_of(call6(__NR_mremap, call.a, call.b, call.c, call.d, call.e), call.c);
    case Op::mremap_keep: return result_of(call6(__NR_mremap, call.a, call.b, call.c, call.d, call.e));
    case Op::madvise: return result_of(call6(__NR_madvise, call.a, call.b, call.c));
    case Op::brk: {
      Answer answer;
      answer.value = call6(__NR_brk, area.start_brk + call.a) - static_cast<long>(area.start_brk);
      return answer;
    }
    case Op::touch: {
      Answer answer;
      for (std::uint64_t place = call.a; place < call.a + call.b; place += kPage) {
        const int code = call.c != 0 ? write_byte(place) : read_byte(place);
        if (code != 0) ++answer.refused;
        if (code == 2) ++answer.no_access;
      }
      return answer;
    }
    case Op::mlock: return result_of(call6(__NR_mlock2, call.a, call.b, call.c));
    case Op::munlock: return result_of(call6(__NR_munlock, call.a, call.b));
    case Op::mlockall: return result_of(call6(__NR_mlockall, call.a));
    case Op::munlockall: return result_of(call6(__NR_munlockall));
    case Op::msync: return result_of(call6(__NR_msync, call.a, call.b, call.c));
    case Op::mincore: {
      unsigned char present[64] = {};
      Answer answer = result_of(call6(__NR_mincore, call.a, call.b, at(present)));
      if (answer.error != 0) return answer;
      for (std::uint64_t i = 0; i < 63; ++i) answer.value |= static_cast<std::int64_t>(present[i] & 1u) << i;
      return answer;
    }
    case Op::limit: return set_limit(call.a, call.c != 0 ? ~std::uint64_t{0} : in_use[call.a % 16] + call.b);
    case Op::reset: reset(); return {};
    case Op::fork:
    case Op::exit:
    case Op::open:
    case Op::map_file:
    case Op::truncate:
    case Op::fsync:
    case Op::huge: break;
  }
  return {};
}

// --- observations ---

std::uint64_t used = 0;
void put(std::uint64_t word) {
  if (used < kMaxWords) area.word[used] = word;
  ++used;
}

struct MapQuery {  // struct procmap_query
  std::uint64_t size, flags, address, start, end, access, page_size, offset, inode;
  std::uint32_t major, minor, name_size, build_id_size;
  std::uint64_t name, build_id;
};
constexpr unsigned long kMapQuery = _IOWR('f', 17, MapQuery);

std::uint64_t put_maps(std::uint64_t start, std::uint64_t end, std::uint64_t origin) {
  std::uint64_t count = 0;
  MapQuery query{};
  query.size = sizeof query;
  for (std::uint64_t place = start; place < end; place = query.end) {
    query.flags = 0x10;  // PROCMAP_QUERY_COVERING_OR_NEXT_VMA
    query.address = place;
    if (call6(__NR_ioctl, static_cast<std::uint64_t>(maps_file), kMapQuery, at(&query)) < 0 || query.start >= end) break;
    put(packed((query.start - origin) / kPage, (query.end - origin) / kPage, query.access & 15));
    ++count;
  }
  return count;
}

struct Region {  // struct page_region
  std::uint64_t start, end, categories;
};
struct Scan {  // struct pm_scan_arg
  std::uint64_t size, flags, start, end, walk_end, out, out_size, max_pages, inverted, all_of, any_of, returned;
};
constexpr unsigned long kScan = _IOWR('f', 16, Scan);
constexpr std::size_t kMaxRegions = 1200;
Region regions[kMaxRegions];

std::uint64_t put_pages(std::uint64_t start, std::uint64_t end, std::uint64_t origin) {
  Scan scan{};
  scan.size = sizeof scan;
  scan.start = start;
  scan.end = end;
  scan.out = at(regions);
  scan.out_size = kMaxRegions;
  scan.any_of = kPagePresent | kPageSwapped | kPageGuard;
  scan.returned = kPageFile | kPagePresent | kPageSwapped | kPageZero | kPageHuge | kPageGuard;
  const long count = must(call6(__NR_ioctl, static_cast<std::uint64_t>(pagemap_file), kScan, at(&scan)));
  for (long i = 0; i < count; ++i) {
    put(packed((regions[i].start - origin) / kPage, (regions[i].end - origin) / kPage, regions[i].categories));
  }
  return static_cast<std::uint64_t>(count);
}

void observe(const Answer& answer) {
  put(static_cast<std::uint64_t>(answer.value));
  put(static_cast<std::uint32_t>(answer.error) | answer.minor_faults << 32);
  put(answer.refused | std::uint64_t{answer.no_access} << 16 | answer.major_faults << 32);
  const std::uint64_t counts = used;
  put(0);
  const std::uint64_t heap = area.start_brk;
  const std::uint64_t maps = put_maps(kWindow, kWindow + kWindowBytes, kWindow) +
                             put_maps(heap, heap + kHeapPages * kPage, heap - kHeapMargin * kPage);
  const std::uint64_t ranges = put_pages(kWindow, kWindow + area.watch.room_pages * kPage, kWindow) +
                               put_pages(heap, heap + kHeapPages * kPage, heap - kHeapMargin * kPage);
  if (counts < kMaxWords) area.word[counts] = maps | ranges << 32;
}

void put_text(int file) {
  const std::uint64_t head = used++;
  if (head + 1024 >= kMaxWords) {
    used = kMaxWords + 1;
    return;
  }
  char* const out = reinterpret_cast<char*>(&area.word[head + 1]);
  const std::uint64_t room = (kMaxWords - head - 1) * 8;
  std::uint64_t size = 0;
  while (size < room) {
    const long got = call6(__NR_pread64, static_cast<std::uint64_t>(file), at(out + size), room - size, size);
    if (got <= 0) break;
    size += static_cast<std::uint64_t>(got);
  }
  area.word[head] = size;
  used += (size + 7) / 8;
}

void run_batch() {
  used = 0;
  for (std::uint64_t i = 0; i < area.calls; ++i) {
    const Call& call = area.call[i];
    const Faults before = faults();
    Answer answer = perform(call);
    const Faults after = faults();
    answer.minor_faults = after.minor - before.minor;
    answer.major_faults = after.major - before.major;
    observe(answer);
    if (i + 1 == area.calls || area.call[i + 1].op == Op::reset) {
      if ((area.watch.texts & kStatusText) != 0) put_text(status_file);
      if ((area.watch.texts & kSmapsText) != 0) put_text(smaps_file);
      if ((area.watch.texts & kMapsText) != 0) put_text(maps_file);
    }
    if (used > kMaxWords) break;  // the tester sends less and asks again
  }
  area.words = used;
}

int open_file(const char* path) { return static_cast<int>(must(call6(__NR_open, at(path), 0))); }

void set_up() {
  must(call6(__NR_mmap, kAreaAddress, sizeof(Area), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, 3, 0));
  call6(__NR_close, 3);
  call6(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);
  call6(__NR_prctl, PR_SET_THP_DISABLE, 1);
  struct {
    void (*handler)(int, siginfo_t*, void*);
    std::uint64_t flags;
    void (*restorer)();
    std::uint64_t mask;
  } action = {on_fault, SA_SIGINFO | SA_NODEFER | 0x04000000, restore_from_signal, 0};  // SA_RESTORER
  must(call6(__NR_rt_sigaction, SIGSEGV, at(&action), 0, 8));
  must(call6(__NR_rt_sigaction, SIGBUS, at(&action), 0, 8));
  // One processor: what madvise(MADV_FREE) finds depends on the processor's list of fresh pages.
  std::uint64_t processors[16] = {};
  call6(__NR_sched_getaffinity, 0, sizeof processors, at(processors));
  for (std::uint64_t& word : processors) {
    if (word == 0) continue;
    const std::uint64_t last = std::uint64_t{1} << (63 - __builtin_clzll(word));
    for (std::uint64_t& other : processors) other = 0;
    word = last;
    break;
  }
  call6(__NR_sched_setaffinity, 0, sizeof processors, at(processors));
  maps_file = open_file("/proc/self/maps");
  pagemap_file = open_file("/proc/self/pagemap");
  status_file = open_file("/proc/self/status");
  smaps_file = open_file("/proc/self/smaps");
  area.start_brk = static_cast<std::uint64_t>(call6(__NR_brk, 0));
  // Every page of this process is there before the first call, its stack a good way down.
  must(call6(__NR_mlockall, MCL_CURRENT));
  call6(__NR_munlockall);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  must(call6(__NR_capset, at(&header), at(none)));
  reset();
  // Both ioctls are younger than this test's other needs (6.7, 6.11).
  MapQuery query{};
  query.size = sizeof query;
  query.flags = 0x10;
  must(call6(__NR_ioctl, static_cast<std::uint64_t>(maps_file), kMapQuery, at(&query)));
  put_pages(kWindow, kWindow + kPage, kWindow);
}

}  // namespace

void child_main() {
  set_up();
  while (true) {
    area.turn.store(0);
    call6(__NR_futex, at(&area.turn), FUTEX_WAKE, 1);
    while (area.turn.load() != 1) call6(__NR_futex, at(&area.turn), FUTEX_WAIT, 0, 0);
    if (area.quit != 0) call6(__NR_exit_group, 0);
    run_batch();
  }
}
