/* A program without libc that knows every memory call it makes and many of its faults, and writes them to standard output:
     call PID TID NUMBER ARG*6 RESULT        (all in hexadecimal but pids), in the order of each thread
     fault PID ADDRESS ACCESS                (r, w or x; - where a fault ends in a signal and must not count)
     birth PID PARENT SHARES                 (1: CLONE_VM)
   It forks, makes a thread, calls vfork (clone with CLONE_VM and CLONE_VFORK, as posix_spawn does), and each child of the first
   generation executes the program again ("kernel_truth again"). */
#include <asm/unistd.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/ucontext.h>

#ifndef __NR_mseal
#define __NR_mseal 462
#endif
#ifndef __NR_map_shadow_stack
#define __NR_map_shadow_stack 453
#endif

typedef unsigned long word;
enum { kPage = 4096, kLogBytes = 12000 };

struct log {
  char text[kLogBytes];
  word used;
};

static word raw(word n, word a, word b, word c, word d, word e, word f) {
  word result;
  register word r10 __asm__("r10") = d;
  register word r8 __asm__("r8") = e;
  register word r9 __asm__("r9") = f;
  __asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}

static void put(struct log* log, const char* text) {
  while (*text != 0 && log->used < kLogBytes) log->text[log->used++] = *text++;
}
static void put_number(struct log* log, word value, word base) {
  char digits[24], *at = digits + sizeof digits;
  *--at = 0;
  do *--at = "0123456789abcdef"[value % base];
  while ((value /= base) != 0);
  put(log, at);
  put(log, " ");
}
static void flush(struct log* log) {
  raw(__NR_write, 1, (word)log->text, log->used, 0, 0, 0);
  log->used = 0;
}

static word call(struct log* log, word n, word a, word b, word c, word d, word e, word f) {
  const word result = raw(n, a, b, c, d, e, f);
  const word values[] = {a, b, c, d, e, f, result};
  put(log, "call ");
  put_number(log, raw(__NR_getpid, 0, 0, 0, 0, 0, 0), 10);
  put_number(log, raw(__NR_gettid, 0, 0, 0, 0, 0, 0), 10);
  put_number(log, n, 10);
  for (int i = 0; i < 7; ++i) put_number(log, values[i], 16);
  put(log, "\n");
  return result;
}

static word map(struct log* log, word pages, word prot) {
  return call(log, __NR_mmap, 0, pages * kPage, prot, MAP_PRIVATE | MAP_ANONYMOUS, (word)-1, 0);
}
static void fault(struct log* log, word address, const char* access) {
  put(log, "fault ");
  put_number(log, raw(__NR_getpid, 0, 0, 0, 0, 0, 0), 10);
  put_number(log, address, 16);
  put(log, access);
  put(log, "\n");
}
static void birth(struct log* log, word child, int shares) {
  put(log, "birth ");
  put_number(log, child, 10);
  put_number(log, raw(__NR_getpid, 0, 0, 0, 0, 0, 0), 10);
  put(log, shares ? "1\n" : "0\n");
}

/* Every call there is, with good and with bad arguments. */
static void every_call(struct log* log) {
  const word rw = PROT_READ | PROT_WRITE;
  const word end = call(log, __NR_brk, 0, 0, 0, 0, 0, 0);
  call(log, __NR_brk, end + 3 * kPage, 0, 0, 0, 0, 0);
  call(log, __NR_brk, end + kPage, 0, 0, 0, 0, 0);
  const word p = map(log, 8, rw);
  call(log, __NR_mmap, p, kPage, rw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, (word)-1, 0);
  call(log, __NR_mmap, 0, 0, rw, MAP_PRIVATE | MAP_ANONYMOUS, (word)-1, 0);
  call(log, __NR_mmap, 0, kPage, rw, MAP_PRIVATE, 77, 0);
  call(log, __NR_mprotect, p + kPage, kPage, PROT_READ, 0, 0, 0);
  call(log, __NR_mprotect, 1, kPage, PROT_READ, 0, 0, 0);
  call(log, __NR_pkey_mprotect, p + 2 * kPage, kPage, PROT_READ, (word)-1, 0, 0);
  call(log, __NR_pkey_mprotect, p + 2 * kPage, kPage, PROT_READ, 15, 0, 0);
  call(log, __NR_madvise, p + 3 * kPage, kPage, 4, 0, 0, 0);
  call(log, __NR_madvise, p + 3 * kPage, kPage, 4444, 0, 0, 0);
  const word q = map(log, 2, rw);
  const word moved = call(log, __NR_mremap, q, 2 * kPage, 40 * kPage, 1, 0, 0);
  call(log, __NR_mremap, moved, 40 * kPage, kPage, 0, 0, 0);
  call(log, __NR_mlock, p, kPage, 0, 0, 0, 0);
  call(log, __NR_munlock, p, kPage, 0, 0, 0, 0);
  call(log, __NR_mlock2, p, kPage, 1, 0, 0, 0);
  call(log, __NR_mlockall, 0, 0, 0, 0, 0, 0);
  call(log, __NR_munlockall, 0, 0, 0, 0, 0, 0);
  call(log, __NR_msync, p, 2 * kPage, 4, 0, 0, 0);
  char vector[8];
  call(log, __NR_mincore, p, 8 * kPage, (word)vector, 0, 0, 0);
  const word shared = call(log, __NR_mmap, 0, 4 * kPage, rw, MAP_SHARED | MAP_ANONYMOUS, (word)-1, 0);
  call(log, __NR_remap_file_pages, shared, kPage, 0, 2, 0, 0);
  const word segment = raw(__NR_shmget, 0, 3 * kPage, 01600, 0, 0, 0);
  const word attached = call(log, __NR_shmat, segment, 0, 0, 0, 0, 0);
  call(log, __NR_shmdt, attached, 0, 0, 0, 0, 0);
  call(log, __NR_shmdt, p, 0, 0, 0, 0, 0);
  raw(__NR_shmctl, segment, 0, 0, 0, 0, 0);
  call(log, __NR_process_madvise, (word)-1, 0, 0, 4, 0, 0);
  word limit[2] = {0, 0};
  call(log, __NR_prlimit64, 0, 2, 0, (word)limit, 0, 0); /* RLIMIT_DATA */
  limit[0] = 1ul << 40;
  if (limit[1] < limit[0]) limit[0] = limit[1];
  put(log, "limit ");
  put_number(log, limit[0], 16);
  put_number(log, limit[1], 16);
  put(log, "\n");
  call(log, __NR_prlimit64, 0, 2, (word)limit, 0, 0, 0);
  call(log, __NR_setrlimit, 2, (word)limit, 0, 0, 0, 0);
  call(log, __NR_prctl, 0x53564d41, 99, 0, 0, 0, 0); /* PR_SET_VMA, nonsense */
  raw(__NR_prctl, 16, (word)vector, 0, 0, 0, 0);     /* PR_GET_NAME: not about memory */
  call(log, __NR_mbind, p, kPage, 99, 0, 0, 0);
  call(log, __NR_mseal, p, kPage, 99, 0, 0, 0);
  call(log, __NR_map_shadow_stack, 0, kPage, 99, 0, 0, 0);
  word context = 0;
  call(log, __NR_io_setup, 1, (word)&context, 0, 0, 0, 0);
  call(log, __NR_io_destroy, context, 0, 0, 0, 0, 0);
  call(log, __NR_munmap, p + kPage, 2 * kPage, 0, 0, 0, 0);
  call(log, __NR_munmap, p, 8 * kPage, 0, 0, 0, 0);
  call(log, __NR_munmap, 7, kPage, 0, 0, 0, 0);
}

static void store(word address) { __asm__ volatile("movb $1, (%0)" : : "D"(address) : "memory"); } /* three bytes */
static void load(word address) { (void)*(volatile char*)address; }

static void skip_store(int number, siginfo_t* info, void* context) {
  (void)number, (void)info;
  ((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP] += 3;
}
__attribute__((naked)) static void restore(void) { __asm__("mov $15, %eax\n syscall"); }
__attribute__((naked, aligned(4096))) static void returns(void) { __asm__("ret"); }

static void every_fault(struct log* log) {
  const word p = map(log, 16, PROT_READ | PROT_WRITE);
  call(log, __NR_prctl, 41, 1, 0, 0, 0, 0); /* PR_SET_THP_DISABLE: no huge pages here */
  load(p + 5);
  fault(log, p + 5, "r");
  store(p + 7); /* copy of the zero page */
  fault(log, p + 7, "w");
  store(p + kPage + 1);
  fault(log, p + kPage + 1, "w");
  int ends[2];
  raw(__NR_pipe, (word)ends, 0, 0, 0, 0, 0);
  raw(__NR_write, (word)ends[1], p + 2 * kPage + 9, 8, 0, 0, 0); /* the kernel reads for us */
  fault(log, p + 2 * kPage + 9, "r");
  raw(__NR_read, (word)ends[0], p + 3 * kPage + 9, 8, 0, 0, 0); /* the kernel writes for us */
  fault(log, p + 3 * kPage + 9, "w");
  call(log, __NR_mprotect, p + 4 * kPage, kPage, PROT_READ, 0, 0, 0);
  struct {
    void (*handler)(int, siginfo_t*, void*);
    word flags;
    void (*restorer)(void);
    word mask;
  } action = {skip_store, SA_SIGINFO | 0x04000000, restore, 0};
  raw(__NR_rt_sigaction, SIGSEGV, (word)&action, 0, 8, 0, 0);
  store(p + 4 * kPage + 3);
  fault(log, p + 4 * kPage + 3, "-");
  load(p + 4 * kPage + 3); /* the same page again, allowed */
  fault(log, p + 4 * kPage + 3, "r");
  const int self = (int)raw(__NR_open, (word) "/proc/self/exe", 0, 0, 0, 0, 0);
  /* The page of returns() once more, executable only there: its first use is an instruction fetch. */
  extern char __executable_start[];
  const word offset = (word)returns - (word)__executable_start;
  const word code = call(log, __NR_mmap, 0, kPage, PROT_READ | PROT_EXEC, MAP_PRIVATE, (word)self, offset);
  ((void (*)(void))code)();
  fault(log, code, "x");
}

struct job {
  struct log log;
  void (*work)(struct log*);
  int done;
};

/* clone(2) that calls work on a stack of its own. */
static word start(word flags, word stack_top, struct job* job, void (*body)(struct job*), int* tid_cleared) {
  word result;
  register word r10 __asm__("r10") = (word)tid_cleared;
  register word r12 __asm__("r12") = (word)job;
  register word r13 __asm__("r13") = (word)body;
  __asm__ volatile(
      "syscall\n"
      "test %%rax, %%rax\n"
      "jnz 1f\n"
      "xor %%ebp, %%ebp\n"
      "mov %%r12, %%rdi\n"
      "call *%%r13\n"
      "hlt\n"
      "1:\n"
      : "=a"(result)
      : "a"((word)__NR_clone), "D"(flags), "S"(stack_top), "d"((word)0), "r"(r10), "r"(r12), "r"(r13)
      : "rcx", "r11", "memory");
  return result;
}

static void thread_body(struct job* job) {
  job->work(&job->log);
  flush(&job->log);
  __atomic_store_n(&job->done, 1, __ATOMIC_RELEASE);
  raw(__NR_exit, 0, 0, 0, 0, 0, 0);
}

static char* self_path;
static char** environment;
static struct job jobs[3];
static char stacks[3][65536] __attribute__((aligned(16)));

static void again(void) {
  char* arguments[] = {self_path, (char*)"again", 0};
  raw(__NR_execve, (word)self_path, (word)arguments, (word)environment, 0, 0, 0);
  raw(__NR_exit_group, 99, 0, 0, 0, 0, 0);
}
static void vfork_body(struct job* job) {
  const word p = map(&job->log, 3, PROT_READ); /* in the parent's memory */
  call(&job->log, __NR_munmap, p, 3 * kPage, 0, 0, 0, 0);
  flush(&job->log);
  again();
}
static void wait_for(word child) { raw(__NR_wait4, child, 0, 0, 0, 0, 0); }

__attribute__((used)) static void begin(word* stack) {
  const word count = stack[0];
  self_path = (char*)stack[1];
  environment = (char**)(stack + count + 2);
  struct log* log = &jobs[0].log;
  every_call(log);
  if (count > 1 && ((char*)stack[2])[0] == 'a') { /* executed again */
    flush(log);
    raw(__NR_exit_group, 0, 0, 0, 0, 0, 0);
  }
  every_fault(log);
  flush(log);

  jobs[1].work = every_call;
  const word thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
  start(thread, (word)(stacks[1] + sizeof stacks[1]), &jobs[1], thread_body, 0);
  for (int i = 0; i < 20; ++i) { /* both at once */
    const word p = map(log, 5, PROT_READ | PROT_WRITE);
    call(log, __NR_munmap, p, 5 * kPage, 0, 0, 0, 0);
  }
  while (!__atomic_load_n(&jobs[1].done, __ATOMIC_ACQUIRE)) raw(__NR_sched_yield, 0, 0, 0, 0, 0, 0);
  flush(log);

  const word forked = raw(__NR_fork, 0, 0, 0, 0, 0, 0);
  if (forked == 0) {
    const word p = map(log, 2, PROT_READ);
    call(log, __NR_munmap, p, kPage, 0, 0, 0, 0);
    flush(log);
    again();
  }
  birth(log, forked, 0);
  wait_for(forked);
  const word shares = start(CLONE_VM | CLONE_VFORK | SIGCHLD, (word)(stacks[2] + sizeof stacks[2]), &jobs[2], vfork_body, 0);
  birth(log, shares, 1);
  wait_for(shares);
  flush(log);
  raw(__NR_exit_group, 5, 0, 0, 0, 0, 0);
}

__asm__(".globl _start\n_start:\n xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call begin\n hlt\n");
