/* Runs a list of heap operations on libc's malloc, or on libfaultline-malloc.so if that is preloaded, and writes down what happened, operation by operation,
   with every memory system call in between. No allocation of its own; stdio only for malloc_info, into a buffer that is there.

   The calls are caught by seccomp (SECCOMP_RET_TRAP): the SIGSYS handler makes the call itself from the one instruction
   that the filter lets through, and can refuse it instead. No privilege and no tracer is needed. */
#define _GNU_SOURCE
#include <errno.h>
#include <link.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "heap_wire.h"
#include "malloc/facts.h"

static struct Shared* shared;
static struct Op* ops;
static struct Answer* answers;
static struct Call* calls;
static void* slots[kSlots];
static uint64_t requested[kSlots]; /* bytes asked for */
static unsigned char residency[1 << 20]; /* one byte a page: heaps up to 4 GiB */

extern __typeof__(faultline_malloc_arena) faultline_malloc_arena __attribute__((weak));
extern __typeof__(faultline_malloc_facts) faultline_malloc_facts __attribute__((weak));

/* Where glibc keeps these, found by signature in libc's data (struct malloc_state, struct malloc_par). 2.35 put three
   fields more in front of the counters of struct malloc_par. */
static const uint64_t* arena; /* at its top field */
static const uint64_t* parameters;
enum { kArenaTop = 96 / 8, kArenaSystemMem = (2184 - 96) / 8, kArenaMaxSystemMem = (2192 - 96) / 8 };
static int counters_at, mapped_bytes_at; /* in parameters */

/* A block of a thread arena tells its arena: glibc's heap_info at the heap's start. */
struct HeapInfo {
  uint64_t arena, before, size;
};
static uint64_t heap_bytes = UINT64_C(64) << 20;
static const struct HeapInfo* heap_of(uint64_t address) { return (const struct HeapInfo*)(address & ~(heap_bytes - 1)); }
static uint64_t arena_of(const void* block) { /* 0 for the main arena and mapped chunks; in glibc the state's address */
  if (faultline_malloc_arena != NULL) return faultline_malloc_arena(block);
  if (block == NULL || (((const uint64_t*)block)[-1] & 6) != 4) return 0;
  return heap_of((uint64_t)block)->arena;
}

/* What there is to know now; of a thread arena too, if one is given. */
static struct FaultlineArenaFacts arena_facts(const uint64_t* at_top) {
  const struct FaultlineArenaFacts facts = {at_top[kArenaSystemMem] == 0 ? 0 : at_top[0], at_top[kArenaSystemMem], at_top[kArenaMaxSystemMem]};
  return facts;
}
static struct FaultlineMallocFacts facts_now(uint64_t own) {
  struct FaultlineMallocFacts facts = {0};
  if (faultline_malloc_facts != NULL) {
    faultline_malloc_facts(own, &facts);
    return facts;
  }
  facts.main = arena_facts(arena);
  if (own != 0) facts.arena = arena_facts((const uint64_t*)own + kArenaTop);
  facts.heap_start = parameters[mapped_bytes_at + 2];
  facts.mmapped_bytes = parameters[mapped_bytes_at];
  facts.mmap_threshold = parameters[2];
  facts.trim_threshold = parameters[0];
  if (counters_at == 7) facts.explicit_huge_page = parameters[6];
  facts.n_mmaps = (uint32_t)(counters_at == 7 ? parameters[counters_at] >> 32 : parameters[counters_at]);
  return facts;
}
static uint64_t size_at(uint64_t chunk) { return ((const uint64_t*)chunk)[1] & ~UINT64_C(7); }

static uint32_t refuse_mask, refuse_left;

struct Worker {
  pthread_t thread;
  int alive;
  const struct Op* op; /* given by the main thread */
  uint32_t turn;       /* odd: the worker's; a futex both sides sleep on */
  uint64_t result;
};
static struct Worker workers[kThreads];
static char stacks[kThreads][64 * 1024] __attribute__((aligned(4096)));

/* ---- system calls ---- */
extern char driver_syscall_end[];
uint64_t driver_syscall(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f);
__asm__(
    ".text\n.globl driver_syscall\n.type driver_syscall, @function\ndriver_syscall:\n"
    "mov %rdi, %rax\nmov %rsi, %rdi\nmov %rdx, %rsi\nmov %rcx, %rdx\nmov %r8, %r10\nmov %r9, %r8\nmov 8(%rsp), %r9\n"
    "syscall\n.globl driver_syscall_end\ndriver_syscall_end:\nret\n.size driver_syscall, .-driver_syscall\n");

static int refused(uint64_t number, uint64_t address) {
  const uint32_t bit = number == kCallBrk ? kRefuseBrk : number == kCallMmap ? kRefuseMmap : number == kCallMremap ? kRefuseMremap
                       : number == kCallMprotect ? kRefuseMprotect : 0;
  if (refuse_left == 0 || (refuse_mask & bit) == 0) return 0;
  if (number == kCallBrk && address <= (uint64_t)sbrk(0)) return 0; /* shrinking never fails */
  --refuse_left;
  return 1;
}

#include "heap_driver_facts.h"

static void on_sigsys(int signal_number, siginfo_t* info, void* context) {
  greg_t* r = ((ucontext_t*)context)->uc_mcontext.gregs;
  const uint64_t number = (uint64_t)info->si_syscall;
  uint64_t result;
  (void)signal_number;
  if (trying) {
    r[REG_RAX] = (greg_t)try_call(number, r);
    return;
  }
  if (refused(number, (uint64_t)r[REG_RDI])) {
    result = number == kCallBrk ? (uint64_t)sbrk(0) : (uint64_t)-ENOMEM;
  } else {
    result = driver_syscall(number, (uint64_t)r[REG_RDI], (uint64_t)r[REG_RSI], (uint64_t)r[REG_RDX],
                            (uint64_t)r[REG_R10], (uint64_t)r[REG_R8], (uint64_t)r[REG_R9]);
  }
  r[REG_RAX] = (greg_t)result;
  if ((uint64_t)r[REG_RDI] - (uint64_t)stacks < sizeof stacks) return; /* until 2.33 a thread gives back such a stack too */
  if (shared->call_count >= shared->call_capacity) {
    shared->status = kLogFull;
    _exit(0);
  }
  const uint64_t extra = number == kCallMremap || number == kCallMadvise ? (uint64_t)r[REG_RDX] : 0;
  const struct Call call = {number, (uint64_t)r[REG_RDI], (uint64_t)r[REG_RSI], extra, result};
  calls[shared->call_count++] = call;
}

static int catch_memory_calls(void) {
  static const uint32_t caught[] = {kCallMmap, kCallMprotect, kCallMunmap, kCallBrk, kCallMremap, kCallMadvise};
  enum { kCaught = sizeof caught / sizeof caught[0] };
  const uint64_t allowed = (uint64_t)driver_syscall_end;
  struct sock_filter filter[kCaught + 8];
  unsigned n = 0;
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer));
  filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)allowed, 0, 2);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4);
  filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(allowed >> 32), kCaught + 1, 0);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (unsigned i = 0; i < kCaught; ++i) {
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, caught[i], (uint8_t)(kCaught - i), 0);
  }
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
  struct sock_fprog program = {(unsigned short)n, filter};
  struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
  if (sigaction(SIGSYS, &action, NULL) != 0) return 0;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 0;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* ---- glibc's own state ---- */
static int find_state(struct dl_phdr_info* info, size_t size, void* after_init) {
  (void)size;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)* segment = &info->dlpi_phdr[i];
    if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) == 0) continue;
    const uint64_t* word = (const uint64_t*)((info->dlpi_addr + segment->p_vaddr + 7) & ~UINT64_C(7));
    const uint64_t* end = (const uint64_t*)(info->dlpi_addr + segment->p_vaddr + segment->p_memsz) - 16;
    for (; word < end; ++word) {
      const uint64_t at = (uint64_t)word;
      if (!after_init) {
        if (word[0] != 131072 || word[1] != 131072 || word[2] != 131072 || word[3] != 8) continue;
        if ((uint32_t)word[8] == 65536) {
          parameters = word;
          counters_at = 7;
          mapped_bytes_at = 10;
        } else if (word[5] >> 32 == 65536) {
          parameters = word;
          counters_at = 5;
          mapped_bytes_at = 7;
        }
      } else if (word[0] == at && word[1] == 0 && word[2] == at && word[3] == at && word[4] == at + 16) {
        arena = word;
      }
    }
  }
  return 0;
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"       /* mallinfo, for those before */

static int find_state_of_malloc(void) {
  if (faultline_malloc_facts != NULL) {
    const struct FaultlineMallocFacts facts = facts_now(0);
    if (facts.explicit_huge_page != 0) heap_bytes = 4 * facts.explicit_huge_page;
    counters_at = 7;
    return facts.main.system_mem == 0;
  }
  dl_iterate_phdr(find_state, NULL);
  mallopt(M_ARENA_TEST + 1000, 0); /* makes glibc read its tunables; allocates nothing */
  dl_iterate_phdr(find_state, &arena);
  if (parameters != NULL && counters_at == 7 && parameters[6] != 0) heap_bytes = 4 * parameters[6]; /* explicit huge pages */
  return arena != NULL && parameters != NULL && arena[kArenaSystemMem] == 0;
}

static int state_agrees_with_mallinfo(void) {
  const struct FaultlineMallocFacts facts = facts_now(0);
  uint64_t mapped, chunks;
  if (mallinfo2 != NULL) {
    const struct mallinfo2 info = mallinfo2();
    mapped = info.hblkhd;
    chunks = info.hblks;
  } else {
    const struct mallinfo info = mallinfo();
    mapped = (uint32_t)info.hblkhd | (facts.mmapped_bytes & ~UINT64_C(0xffffffff));
    chunks = (uint32_t)info.hblks;
  }
  return mapped == facts.mmapped_bytes && chunks == facts.n_mmaps;
}

static uint64_t walk_first_segment(void) {
  const struct FaultlineMallocFacts facts = facts_now(0);
  uint64_t hash = 0, at;
  if (facts.main.system_mem == 0 || facts.heap_start == 0) return 0;
  at = (facts.heap_start + 15) & ~UINT64_C(15);
  for (unsigned fences = 0; fences < 2;) {
    const uint64_t head = ((const uint64_t*)at)[1];
    hash = mix(mix(hash, at - shared->start_brk), head);
    if (at == facts.main.top) break;
    fences = (head & ~UINT64_C(7)) == 16 ? fences + 1 : 0;
    at += head & ~UINT64_C(7);
  }
  return hash;
}

/* From the newest heap, the one that holds top, to the first. The chunks after `first` bytes of its own. */
static uint64_t walk_thread_arena(const void* block) {
  uint64_t hash = 0;
  const uint64_t own = arena_of(block), top = facts_now(own).arena.top;
  if (own == 0) return 0;
  for (const struct HeapInfo* heap = heap_of(top); heap != NULL; heap = (const struct HeapInfo*)heap->before) {
    const uint64_t base = (uint64_t)heap, header = counters_at == 7 ? 0x30 : 0x20;
    uint64_t at = (base + header + (heap->before == 0 ? 0x898 : 0) + 15) & ~UINT64_C(15);
    hash = mix(hash, heap->size);
    for (;;) {
      const uint64_t head = ((const uint64_t*)at)[1], size = head & ~UINT64_C(7);
      hash = mix(mix(hash, at - base), head);
      if (at == top || size == 0) break;
      at += size;
    }
  }
  return hash;
}

static uint64_t hash_residency(uint64_t hash, uint64_t start, uint64_t end) {
  const uint64_t low = start & ~UINT64_C(4095), high = (end + 4095) & ~UINT64_C(4095);
  if (high <= low || high - low > ((uint64_t)sizeof residency << 12)) return hash;
  if (mincore((void*)low, high - low, residency) != 0) return mix(hash, 0xbad);
  for (uint64_t page = 0; page < (high - low) >> 12; ++page) hash = mix(hash, residency[page] & 1U);
  return hash;
}

static uint64_t resident_pages(uint32_t slot) {
  const uint64_t own = arena_of(slots[slot]);
  const struct FaultlineMallocFacts facts = facts_now(own);
  uint64_t hash = 0, base = facts.heap_start;
  if (!shared->check_residency) return 0;
  if (base >= shared->start_brk && base < (uint64_t)sbrk(0)) hash = hash_residency(hash, base, (uint64_t)sbrk(0));
  if (slots[slot] != NULL) {
    const uint64_t* chunk = (const uint64_t*)slots[slot] - 2;
    if (chunk[1] & 2) hash = hash_residency(hash, (uint64_t)chunk - chunk[0], (uint64_t)chunk + (chunk[1] & ~UINT64_C(7)));
  }
  if (own != 0) {
    for (const struct HeapInfo* heap = heap_of(facts.arena.top); heap != NULL; heap = (const struct HeapInfo*)heap->before) {
      hash = hash_residency(hash, (uint64_t)heap, (uint64_t)heap + heap->size);
    }
  }
  return hash;
}

static void touch(uint32_t slot, uint64_t offset, uint64_t length) {
  const uint64_t usable = slots[slot] == NULL ? 0 : malloc_usable_size(slots[slot]);
  if (usable == 0) return;
  offset %= usable;
  const uint64_t start = (uint64_t)slots[slot] + offset, left = usable - offset, end = start + (length < left ? length : left);
  for (uint64_t at = start; at < end; at = (at & ~UINT64_C(4095)) + 4096) *(volatile unsigned char*)at = 0x5a;
}

/* ---- operations ---- */
static uint64_t run(const struct Op* op) {
  void** slot = &slots[op->slot % kSlots];
  void* block = NULL;
  switch (op->kind) {
    case kOpRealloc: {
      void* moved = realloc(*slot, op->a);
      if (moved != NULL || op->a == 0) {
        *slot = moved;
        requested[op->slot % kSlots] = op->a;
      }
      return (uint64_t)moved;
    }
    case kOpFree:
      if (*slot != NULL) free(*slot);
      *slot = NULL;
      return 0;
    case kOpTrim: return (uint64_t)malloc_trim(op->a);
    case kOpMallopt: return (uint64_t)mallopt((int)(int64_t)op->a, (int)(int64_t)op->b);
    case kOpSbrk: return (uint64_t)sbrk((intptr_t)op->a);
    case kOpRefuse:
      refuse_mask = (uint32_t)op->a;
      refuse_left = (uint32_t)op->b;
      return 0;
    case kOpWalk: return mix(walk_first_segment(), walk_thread_arena(*slot));
    case kOpResident: return resident_pages(op->slot % kSlots);
    case kOpAccount: return account(op);
    case kOpTouch: touch(op->slot % kSlots, op->a, op->b); return 0;
    default: break;
  }
  if (*slot != NULL) return 0;
  switch (op->kind) {
    case kOpMalloc: block = malloc(op->a); break;
    case kOpCalloc: block = calloc(op->a, op->b); break;
    case kOpMemalign: block = memalign(op->a, op->b); break;
    case kOpPosixMemalign:
      if (posix_memalign(&block, op->a, op->b) != 0) block = NULL;
      break;
    case kOpAlignedAlloc: block = aligned_alloc(op->a, op->b); break;
    case kOpValloc: block = valloc(op->a); break;
    case kOpPvalloc: block = pvalloc(op->a); break;
    default: break;
  }
  *slot = block;
  requested[op->slot % kSlots] = asked_by(op);
  return (uint64_t)block;
}

static void pass_turn(struct Worker* worker) {
  __atomic_add_fetch(&worker->turn, 1, __ATOMIC_ACQ_REL);
  syscall(SYS_futex, &worker->turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void await_turn(struct Worker* worker, uint32_t mine) {
  for (uint32_t turn; ((turn = __atomic_load_n(&worker->turn, __ATOMIC_ACQUIRE)) & 1) != mine;) {
    syscall(SYS_futex, &worker->turn, FUTEX_WAIT_PRIVATE, turn, NULL, NULL, 0);
  }
}

static void* work(void* argument) {
  struct Worker* self = argument;
  for (;;) {
    await_turn(self, 1);
    if (self->op->kind == kOpThreadEnd) return NULL;
    self->result = run(self->op);
    pass_turn(self);
  }
}

/* On a stack of ours: libc would map, guard and advise its own while signals, SIGSYS among them, are blocked. It
   allocates the thread's dtv in here and frees it in pthread_join. */
static int start(struct Worker* worker, unsigned number) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, stacks[number], sizeof stacks[number]);
  const uint32_t left = refuse_left; /* a thread that could not be had is no thread's story */
  refuse_left = 0;
  const int made = pthread_create(&worker->thread, &attributes, work, worker) == 0;
  refuse_left = left;
  return made;
}

static uint64_t run_in_thread(const struct Op* op) {
  struct Worker* worker = &workers[op->thread % kThreads];
  if (op->thread % kThreads == 0) return op->kind == kOpThreadEnd ? 0 : run(op);
  if (op->kind == kOpThreadEnd && !worker->alive) return 0;
  if (!worker->alive && !start(worker, op->thread % kThreads)) _exit(3);
  worker->alive = 1;
  worker->op = op;
  pass_turn(worker);
  if (op->kind == kOpThreadEnd) {
    pthread_join(worker->thread, NULL);
    worker->alive = 0;
    worker->turn = 0;
    return 0;
  }
  await_turn(worker, 0);
  return worker->result;
}

static void answer(struct Answer* out, const struct Op* op, uint64_t result, uint64_t own) {
  const int gives_block = op->kind == kOpRealloc || op->kind < kOpFree || (op->kind > kOpFree && op->kind < kOpTrim);
  struct FaultlineMallocFacts facts;
  if (gives_block && result != 0 && arena_of((const void*)result) != 0) own = arena_of((const void*)result);
  facts = facts_now(own);
  out->result = result;
  out->head = gives_block && result != 0 ? ((const uint64_t*)result)[-1] : 0;
  out->offset = (out->head & 2) != 0 ? ((const uint64_t*)result)[-2] : 0;
  out->brk = (uint64_t)sbrk(0);
  out->top = facts.main.top;
  out->top_size = facts.main.top == 0 ? 0 : size_at(facts.main.top);
  out->system_mem = facts.main.system_mem;
  out->max_system_mem = facts.main.max_system_mem;
  if (own != 0) {
    out->arena_top = facts.arena.top;
    out->arena_top_size = size_at(facts.arena.top);
    out->arena_system_mem = facts.arena.system_mem;
    out->arena_max_system_mem = facts.arena.max_system_mem;
  }
  out->mmapped_bytes = facts.mmapped_bytes;
  out->mmap_threshold = facts.mmap_threshold;
  out->trim_threshold = facts.trim_threshold;
  out->n_mmaps = facts.n_mmaps;
  out->calls = shared->call_count;
}

int main(void) {
  struct Shared header;
  if (pread(kSharedFd, &header, sizeof header, 0) != (ssize_t)sizeof header) return 1;
  shared = mmap(NULL, header.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, kSharedFd, 0);
  if (shared == MAP_FAILED) return 1;
  ops = (struct Op*)(shared + 1);
  answers = (struct Answer*)((char*)shared + shared->answers_offset);
  calls = (struct Call*)((char*)shared + shared->calls_offset);
  shared->shared_at = (uint64_t)shared;
  if (!find_state_of_malloc()) {
    shared->status = kNotThisGlibc;
    return 0;
  }
  shared->start_brk = (uint64_t)sbrk(0);
  if (!catch_memory_calls()) {
    shared->status = kNoSeccomp;
    return 0;
  }
  for (uint32_t i = 0; i < shared->op_count; ++i) {
    const uint64_t own = arena_of(slots[ops[i].slot % kSlots]); /* of the block that may go */
    const uint64_t result = run_in_thread(&ops[i]);
    answer(&answers[i], &ops[i], result, own);
    shared->ops_done = i + 1;
  }
  shared->status = state_agrees_with_mallinfo() ? kDone : kBadCheck;
  _exit(0);
}
