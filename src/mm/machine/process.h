// Process: who runs in an address space, and how often it faulted there. Counterpart: struct task_struct (the thread
// group) with its mm, signal->min_flt and signal->maj_flt.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "mm/space/address_space.h"

namespace faultline::mm {

using Pid = std::uint32_t;

struct FaultCounters {
  std::uint64_t minor = 0;  // ru_minflt
  std::uint64_t major = 0;  // ru_majflt
  bool operator==(const FaultCounters&) const = default;
};

class Process {
 public:
  Process(Pid pid, Pid parent, std::shared_ptr<AddressSpace> space);

  Pid pid() const { return pid_; }
  Pid parent() const { return parent_; }
  const FaultCounters& faults() const { return faults_; }
  const AddressSpace& space() const { return *space_; }
  bool shares_space_with(const Process& other) const { return space_ == other.space_; }
  bool waits_for_vfork() const { return vfork_child_ != 0; }  // suspended until the child of vfork execs or exits

  // One access of this process; its fault counts here.
  Access access(VirtAddr address, bool write) {
    const Access met = space_->access(address, write);
    if (met == Access::minor_fault) ++faults_.minor;
    if (met == Access::major_fault) ++faults_.major;
    return met;
  }
  // The same if it faults not; else nothing happens, and false.
  bool access_if_hit(VirtAddr address, bool write) { return space_->access_if_hit(address, write); }
  Pte* entry_ahead(VirtAddr address) { return space_->entry_ahead(address); }  // see there
  // Everything else this process does to its memory: body(AddressSpace&). Faults inside count here, as those of
  // MAP_POPULATE do in Linux.
  template <typename Body>
  decltype(auto) run(Body&& body) {
    struct Charge {
      Process& process;
      std::uint64_t minor = process.space_->statistics().minor_faults();
      std::uint64_t major = process.space_->statistics().major_faults();
      ~Charge() {
        process.faults_.minor += process.space_->statistics().minor_faults() - minor;
        process.faults_.major += process.space_->statistics().major_faults() - major;
      }
    } charge{*this};
    return std::forward<Body>(body)(*space_);
  }

 private:
  friend class Machine;
  Pid pid_;
  Pid parent_;
  Pid vfork_child_ = 0;
  FaultCounters faults_;
  std::shared_ptr<AddressSpace> space_;  // shared between processes by vfork and clone(CLONE_VM)
};

}  // namespace faultline::mm
