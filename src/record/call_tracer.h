// Calls seen through ptrace(2), for those who may not use tracepoints. Every system call of the program stops twice, so it is slow;
// in exchange nothing is left in the program: if the recorder is killed the kernel detaches every thread and the program goes on.
// A seccomp filter that returns SECCOMP_RET_TRACE would stop only the memory calls, but a filter cannot be taken back: without its
// tracer each of them would fail with ENOSYS, and without privileges it takes the effect from setuid programs.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>

#include "base/result.h"
#include "record/call_capture.h"

namespace faultline::record {

class CallTracer final : public CallCapture {
 public:
  // Attaches to a child that waits before its execve. Fails where ptrace is not permitted.
  static Result<std::unique_ptr<CallCapture>> attach(pid_t pid);
  ~CallTracer() override;

  void drain(std::vector<RawCall>& out) override;
  std::uint64_t lost() const override { return 0; }
  std::vector<std::string> left_out() const override;
  bool shares_memory(trace::Pid child) const override;
  void stop() override;

 private:
  struct Thread {
    trace::Pid pid = 0;
    bool inside = false;            // a memory call, between entry and exit
    trace::MemoryCall call;
    std::uint64_t birth_flags = 0;  // what the clone it is in asks for
    bool let_go = false;            // to be detached at its next stop: somebody else wants to trace it
    pid_t waiter = 0;               // who, held back until then
  };
  enum class Next { go_on, detach, held };
  CallTracer() = default;

  // All of these run on the tracing thread.
  void run(pid_t pid);
  bool take_hold(pid_t pid);
  bool take_stop(pid_t tid, int stop);  // what waitid(2) gives as si_status
  void note_birth(pid_t tid, const Thread& parent);
  void executed(pid_t tid, Thread& thread);
  Next system_call(pid_t tid, Thread& thread);
  Next enter(pid_t tid, Thread& thread, std::uint64_t number, const std::uint64_t (&arguments)[6]);
  Next enter_birth(Thread& thread, std::uint64_t flags);
  Next enter_execve(pid_t tid, int directory, std::uint64_t path);
  Next give_way(pid_t tid, const Thread& thread, long what, pid_t target);
  void detach(pid_t tid, int signal);
  void ended(pid_t tid);
  void note(const std::string& line);

  pid_t main_ = 0;
  bool takes_privileges_ = false;  // from setuid programs, by tracing them
  std::unordered_map<pid_t, Thread> threads_;

  mutable std::mutex mutex_;  // of what follows
  std::vector<RawCall> calls_;
  std::set<trace::Pid> sharing_;
  std::set<std::string> notes_;

  std::atomic<int> attached_{-1};  // errno of the attempt; -1: not yet
  std::atomic<bool> stopping_{false}, finished_{false};
  std::thread thread_;
};

}  // namespace faultline::record
