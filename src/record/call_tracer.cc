#include "record/call_tracer.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/ptrace.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "record/call_table.h"
#include "record/exec_privileges.h"
#include "record/time_base.h"
#include "record/tracee_memory.h"

namespace faultline::record {
namespace {

// No PTRACE_O_EXITKILL: the program outlives us. With TRACESYSGOOD a thread that we die on in a system-call stop goes on as if
// nothing had been; without, it would get the stop's SIGTRAP (include/linux/ptrace.h: ptrace_report_syscall).
constexpr unsigned long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;

constexpr std::uint64_t kX32Call = 0x40000000;  // __X32_SYSCALL_BIT

constexpr const char* kItselfTraces = "memory calls of threads that the program itself traces: only one can";

const int kWakeSignal = SIGRTMIN + 5;  // interrupts our own wait, nothing else

// Requests of ptrace(2) take their arguments as the kernel does. A thread that was killed meanwhile is no error: it will be waited for.
long request(long what, pid_t tid, std::uint64_t address = 0, std::uint64_t data = 0) { return syscall(SYS_ptrace, what, tid, address, data); }

// Of a thread that is stopped; its end, should it have been killed meanwhile, stays to be seen.
void consume_stop(pid_t tid) {
  siginfo_t info{};
  waitid(P_PID, static_cast<id_t>(tid), &info, WSTOPPED | WNOHANG | __WALL | __WNOTHREAD);
}

bool is_group_stop(int signal) { return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU; }

}  // namespace

Result<std::unique_ptr<CallCapture>> CallTracer::attach(pid_t pid) {
  std::unique_ptr<CallTracer> tracer(new CallTracer);
  tracer->main_ = pid;
  struct sigaction wake {};
  wake.sa_handler = [](int) {};
  sigaction(kWakeSignal, &wake, nullptr);
  sigset_t others, before;  // signals are the main thread's; an ignored SIGCHLD is dropped only where it is not blocked, and each stop sends one
  sigfillset(&others);
  sigdelset(&others, kWakeSignal);
  sigdelset(&others, SIGCHLD);
  pthread_sigmask(SIG_SETMASK, &others, &before);
  tracer->thread_ = std::thread([self = tracer.get(), pid] { self->run(pid); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  tracer->attached_.wait(-1);
  if (const int error = tracer->attached_.load(); error != 0) return fail(make_error("ptrace is not permitted ({})", std::strerror(error)));
  return std::unique_ptr<CallCapture>(std::move(tracer));
}

CallTracer::~CallTracer() { stop(); }

// The end of the tracing thread detaches whatever it still traces: kernel/ptrace.c: exit_ptrace.
void CallTracer::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  while (!finished_) {  // the signal may come just before the wait
    pthread_kill(thread_.native_handle(), kWakeSignal);
    usleep(500);
  }
  thread_.join();
}

void CallTracer::drain(std::vector<RawCall>& out) {
  const std::lock_guard lock(mutex_);
  out.insert(out.end(), calls_.begin(), calls_.end());
  calls_.clear();
}

std::vector<std::string> CallTracer::left_out() const {
  const std::lock_guard lock(mutex_);
  return {notes_.begin(), notes_.end()};
}

bool CallTracer::shares_memory(trace::Pid child) const {
  const std::lock_guard lock(mutex_);
  return sharing_.contains(child);
}

void CallTracer::note(const std::string& line) {
  const std::lock_guard lock(mutex_);
  notes_.insert(line);
}

bool CallTracer::take_hold(pid_t pid) {
  if (request(PTRACE_SEIZE, pid, 0, kOptions) != 0 || request(PTRACE_INTERRUPT, pid) != 0) return false;
  threads_[pid].pid = pid;
  takes_privileges_ = !may_trace_privileged();
  return true;
}

// Stops are looked at without being consumed (WNOWAIT): resuming a thread ends its stop, and the end of the command itself must stay
// to be seen by the main thread. Only the ends of others are consumed, which passes them on to their own parents.
void CallTracer::run(pid_t pid) {
  const bool holding = take_hold(pid);
  attached_ = holding ? 0 : errno;
  attached_.notify_all();
  while (holding && !stopping_) {
    siginfo_t info{};
    if (waitid(P_ALL, 0, &info, WSTOPPED | WEXITED | WNOWAIT | __WALL | __WNOTHREAD) != 0) {
      if (errno == EINTR) continue;
      break;  // ECHILD: nothing is left to trace
    }
    const pid_t tid = info.si_pid;
    if (info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED) {
      if (tid == main_) break;
      ended(tid);
      waitpid(tid, nullptr, __WALL | __WNOTHREAD);
    } else if (!take_stop(tid, info.si_status)) {
      consume_stop(tid);  // held back: not to be told again
    }
  }
  finished_ = true;
}

void CallTracer::ended(pid_t tid) {
  const auto found = threads_.find(tid);
  if (found == threads_.end()) return;
  const pid_t waiter = found->second.waiter;
  threads_.erase(found);
  if (waiter != 0) request(PTRACE_SYSCALL, waiter);
}

void CallTracer::detach(pid_t tid, int signal) {
  request(PTRACE_DETACH, tid, 0, static_cast<std::uint64_t>(signal));
  ended(tid);
}

// True if the thread runs again (or is gone); false if it is held.
bool CallTracer::take_stop(pid_t tid, int stop) {
  const int signal = stop & 0x7f, event = stop >> 8;
  const bool in_call = event == 0 && stop == (SIGTRAP | 0x80);
  Thread& thread = threads_[tid];
  if (thread.pid == 0) thread.pid = process_of(tid);
  if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) note_birth(tid, thread);
  if (event == PTRACE_EVENT_EXEC) executed(tid, thread);
  const int pending = event == 0 && !in_call ? signal : 0;  // a signal on its way is passed on
  if (thread.let_go) {
    detach(tid, pending);
    return true;
  }
  if (event == PTRACE_EVENT_STOP && is_group_stop(signal)) {  // stays stopped, and hears SIGCONT
    request(PTRACE_LISTEN, tid);
    return true;
  }
  if (in_call) {
    const Next next = system_call(tid, thread);
    if (next == Next::held) return false;
    if (next == Next::detach) {
      detach(tid, 0);
      return true;
    }
  }
  request(PTRACE_SYSCALL, tid, 0, static_cast<std::uint64_t>(pending));
  return true;
}

// The parent goes on, and may trace its child, only after this.
void CallTracer::note_birth(pid_t tid, const Thread& parent) {
  std::uint64_t child = 0;
  const bool shares = (parent.birth_flags & CLONE_VM) != 0;
  if (request(PTRACE_GETEVENTMSG, tid, 0, reinterpret_cast<std::uint64_t>(&child)) != 0 || child == 0) return;
  threads_.try_emplace(static_cast<pid_t>(child));
  const std::lock_guard lock(mutex_);
  if (shares) {
    sharing_.insert(static_cast<trace::Pid>(child));
  } else {
    sharing_.erase(static_cast<trace::Pid>(child));  // the number was another's
  }
}

// The thread that called execve is the process now, whatever its number was. Until this stop is consumed the kernel answers no request
// for the new number (kernel/ptrace.c: looks_like_a_spurious_pid).
void CallTracer::executed(pid_t tid, Thread& thread) {
  consume_stop(tid);
  std::uint64_t former = 0;
  thread.pid = tid;
  thread.inside = false;
  if (request(PTRACE_GETEVENTMSG, tid, 0, reinterpret_cast<std::uint64_t>(&former)) == 0 && static_cast<pid_t>(former) != tid) {
    ended(static_cast<pid_t>(former));
  }
}

CallTracer::Next CallTracer::system_call(pid_t tid, Thread& thread) {
  ptrace_syscall_info info{};
  if (request(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, reinterpret_cast<std::uint64_t>(&info)) <= 0) return Next::go_on;
  if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
    thread.inside = false;
    std::uint64_t arguments[6];
    std::copy(std::begin(info.entry.args), std::end(info.entry.args), arguments);
    // Under other numbers we would not see what must be seen, an execve of a setuid program for one.
    if (info.arch == AUDIT_ARCH_X86_64 && (info.entry.nr & ~(kX32Call - 1)) != kX32Call) return enter(tid, thread, info.entry.nr, arguments);
    note("memory calls of 32-bit programs, and of what they start");
    return Next::detach;
  } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && thread.inside) {
    thread.inside = false;
    thread.call.end_ns = raw_now_ns();
    thread.call.result = info.exit.rval;
    if (thread.call.result != 0) unknown_limit(thread.call);
    const std::lock_guard lock(mutex_);
    calls_.push_back({thread.call, thread.pid});
  }
  return Next::go_on;
}

CallTracer::Next CallTracer::enter(pid_t tid, Thread& thread, std::uint64_t number, const std::uint64_t (&arguments)[6]) {
  if (const auto kind = memory_call(number)) {
    thread.call = {};
    std::copy(std::begin(arguments), std::end(arguments), std::begin(thread.call.args));
    thread.call.kind = *kind;
    thread.call.tid = tid;
    thread.inside = normalise(number, thread.call);
    if (*kind == trace::CallKind::prlimit && thread.call.args[2] != 0) read_tracee(tid, thread.call.args[2], &thread.call.args[4], 16);
    thread.call.begin_ns = raw_now_ns();
    return Next::go_on;
  }
  switch (number) {
    case SYS_fork: return enter_birth(thread, 0);
    case SYS_vfork: return enter_birth(thread, CLONE_VM);
    case SYS_clone: return enter_birth(thread, arguments[0]);
    case SYS_clone3: {
      std::uint64_t flags = 0;
      read_tracee(tid, arguments[0], &flags, sizeof flags);
      return enter_birth(thread, flags);
    }
    case SYS_execve: return enter_execve(tid, AT_FDCWD, arguments[0]);
    case SYS_execveat: return enter_execve(tid, static_cast<int>(arguments[0]), arguments[1]);
    case SYS_ptrace: return give_way(tid, thread, static_cast<long>(arguments[0]), static_cast<pid_t>(arguments[1]));
    default: return Next::go_on;
  }
}

CallTracer::Next CallTracer::enter_birth(Thread& thread, std::uint64_t flags) {
  thread.birth_flags = flags;
  if ((flags & CLONE_UNTRACED) != 0) note("memory calls of what the program starts with CLONE_UNTRACED");
  return Next::go_on;
}

CallTracer::Next CallTracer::enter_execve(pid_t tid, int directory, std::uint64_t path) {
  if (!takes_privileges_ || !raises_privileges(tid, directory, path)) return Next::go_on;
  note("memory calls of setuid and setgid programs: ptrace would take their privileges from them");
  return Next::detach;
}

// The program traces by itself, and only one can: it goes first.
CallTracer::Next CallTracer::give_way(pid_t tid, const Thread& thread, long what, pid_t target) {
  if (what != PTRACE_TRACEME && what != PTRACE_ATTACH && what != PTRACE_SEIZE) return Next::go_on;
  if (what == PTRACE_TRACEME) {
    note(kItselfTraces);
    return Next::detach;
  }
  const auto found = threads_.find(target);
  if (found == threads_.end() || found->second.pid == thread.pid || found->second.let_go) return Next::go_on;
  note(kItselfTraces);
  found->second.let_go = true;
  found->second.waiter = tid;
  if (request(PTRACE_INTERRUPT, target) != 0) {
    found->second.let_go = false;
    found->second.waiter = 0;
    return Next::go_on;
  }
  return Next::held;
}

}  // namespace faultline::record
