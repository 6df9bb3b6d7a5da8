// execve(2) of a program whose files are open. Counterpart: do_execveat_common(), bprm_execve(), exec_mmap() (fs/exec.c).
#include <algorithm>

#include "mm/elf/mmap_layout.h"
#include "mm/machine/machine.h"

namespace faultline::mm {

Result<elf::StartState, elf::ExecFailure> Machine::execve(Pid pid, const elf::ExecFile& program,
                                                          const elf::ExecFile* interpreter,
                                                          const elf::StartArguments& arguments) {
  Process& caller = process(pid);
  const KernelProfile& profile = config_.profile;
  ResourceLimits limits = caller.space_->limits();
  const Capabilities capabilities = caller.space_->capabilities();
  auto space = std::make_shared<AddressSpace>(frames_, profile, elf::layout_at_start(profile, limits, arguments.secure), limits);
  space->set_capabilities(capabilities);
  // Faults on the new stack are the caller's, whatever comes of it.
  auto count_faults = [&, counted = FaultCounters{}]() mutable {
    const FaultCounters now{space->statistics().minor_faults(), space->statistics().major_faults()};
    caller.faults_.minor += now.minor - counted.minor;
    caller.faults_.major += now.major - counted.major;
    counted = now;
  };
  elf::InitialStack stack(*space);
  const auto copied = stack.copy_strings(arguments);
  count_faults();
  if (!copied) return fail(elf::ExecFailure{copied.error(), false});

  caller.space_ = space;  // the old one goes with its last process
  end_vfork(caller);
  if (arguments.secure) {
    limits.stack = std::min(limits.stack, profile.secure_stack_limit);
    space->set_limits(limits);
  }
  auto state = elf::load(*space, stack, program, interpreter, arguments);
  count_faults();
  if (!state) {
    space.reset();
    exit(pid);
  }
  return state;
}

}  // namespace faultline::mm
