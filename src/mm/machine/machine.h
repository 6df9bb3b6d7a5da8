// Machine: one computer: frames, kernel profile, processes, a clock. Two machines side by side are two objects.
// Counterpart: what kernel_clone(), do_exit() and begin_new_exec() do to memory (kernel/fork.c, kernel/exit.c, fs/exec.c).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "mm/backing/file_object.h"
#include "mm/backing/swap_space.h"
#include "mm/elf/loader.h"
#include "mm/errno.h"
#include "mm/kernel_profile.h"
#include "mm/machine/khugepaged.h"
#include "mm/machine/process.h"
#include "mm/phys/frame_table.h"
#include "mm/reclaim/reclaim.h"
#include "mm/space/reverse_map.h"
#include "mm/virtual_clock.h"

namespace faultline::mm {

struct MachineConfig {
  KernelProfile profile = KernelProfile::linux_6_18();
  std::uint64_t frames = FrameTable::kNoLimit;
  // Limited memory: what is charged beyond reclaim->limit_pages is taken from somebody. Nothing: memory is what `frames` says.
  std::optional<ReclaimConfig> reclaim{};
  SwapConfig swap{};  // with `reclaim` only
};

class Machine {
 public:
  static std::unique_ptr<Machine> create(const MachineConfig& config = {});
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // A first process with an empty address space, as execve leaves it before anything is mapped.
  Process& start(const AddressSpace::Layout& layout = {}, const ResourceLimits& limits = {});

  Result<Pid, Errno> fork(Pid parent);
  Pid clone_vm(Pid parent);  // clone(CLONE_VM) without CLONE_THREAD: another process in the same address space
  Pid vfork(Pid parent);     // the same, and the parent runs no more until the child execs or exits
  // execve: the process leaves its address space for an empty one, which is returned.
  AddressSpace& exec(Pid pid, const AddressSpace::Layout& layout = {}, const ResourceLimits& limits = {});
  // execve of an ELF file, up to the first instruction; its faults are counted for the process. Refused: the process goes on as
  // before. Killed: it is gone, as after exit().
  Result<elf::StartState, elf::ExecFailure> execve(Pid pid, const elf::ExecFile& program, const elf::ExecFile* interpreter,
                                                   const elf::StartArguments& arguments);
  // The process is gone, its memory with the last process that uses it. Its counters are returned (wait4's rusage).
  FaultCounters exit(Pid pid);

  // --- files; their pages stay cached until somebody drops them ---
  FileObject& create_file(const FileSettings& settings);
  void truncate(FileObject& file, std::uint64_t bytes);  // ftruncate(2), either way
  void sync(FileObject& file);                           // fsync(2)
  void drop_cache(FileObject& file);                     // posix_fadvise(DONTNEED): what is clean and not mapped
  void wait_for_file(std::uint64_t pages);               // they were read: time goes by
  const BlockDevice& disk() const { return disk_; }

  Process& process(Pid pid);  // must exist
  Process* find(Pid pid);
  const std::map<Pid, std::unique_ptr<Process>>& processes() const { return processes_; }
  const FrameTable& frames() const { return frames_; }
  FrameTable& frames() { return frames_; }
  const KernelProfile& profile() const { return config_.profile; }
  const VirtualClock& clock() const { return clock_; }
  const Khugepaged& khugepaged() const { return khugepaged_; }
  // Page replacement and swap; null where memory is not limited.
  Reclaim* reclaim() { return reclaim_.get(); }
  const Reclaim* reclaim() const { return reclaim_.get(); }
  const SwapSpace* swap() const { return swap_.get(); }
  void advance(std::uint64_t ns);  // time goes by: what the kernel does on its own is done
  void check_invariants() const;

 private:
  explicit Machine(const MachineConfig& config);
  Pid add(Pid parent, std::shared_ptr<AddressSpace> space);
  void end_vfork(Process& child);

  MachineConfig config_;
  FrameTable frames_;
  VirtualClock clock_;
  SpaceReverseMap entries_{frames_};
  std::unique_ptr<SwapSpace> swap_;
  std::unique_ptr<Reclaim> reclaim_;
  Khugepaged khugepaged_;
  Pid next_pid_ = 1;
  std::vector<std::unique_ptr<FileObject>> files_;  // the page cache
  BlockDevice disk_;                                // where they lie: of the swap device's kind
  std::map<Pid, std::unique_ptr<Process>> processes_;
};

}  // namespace faultline::mm
