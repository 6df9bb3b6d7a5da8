// Calls seen by the kernel's raw_syscalls tracepoints, through perf: needs root or what amounts to it.
#pragma once

#include <sys/types.h>

#include <memory>
#include <unordered_map>

#include "base/result.h"
#include "record/call_capture.h"
#include "record/perf_ring.h"
#include "record/tracepoint.h"

namespace faultline::record {

class PerfCalls final : public CallCapture {
 public:
  // Attaches to a process that has not called execve yet: recording starts there. Fails with what is not permitted.
  static Result<std::unique_ptr<CallCapture>> attach(pid_t pid, const KernelTracepoints& tracepoints);

  void drain(std::vector<RawCall>& out) override;
  std::uint64_t lost() const override { return lost_; }
  std::vector<std::string> left_out() const override;

 private:
  struct Sample {
    std::uint64_t time;
    std::uint64_t number;  // of the system call
    trace::Pid pid;
    trace::Tid tid;
    bool enter;
    std::uint64_t values[6];  // arguments, or the result
  };
  explicit PerfCalls(const KernelTracepoints& tracepoints) : enter_(tracepoints.sys_enter), exit_(tracepoints.sys_exit) {}
  Result<void> attach_all(pid_t pid);
  void take(const std::uint8_t* body, std::size_t size);

  Tracepoint enter_, exit_;
  std::unordered_map<std::uint64_t, bool> entries_;  // by sample id: an entry
  std::vector<PerfRing> rings_;
  std::vector<Sample> batch_;  // of this drain, and exits of the last one whose entry had not been seen
  std::unordered_map<trace::Tid, Sample> entered_;
  std::uint64_t lost_ = 0, narrow_ = 0;
};

}  // namespace faultline::record
