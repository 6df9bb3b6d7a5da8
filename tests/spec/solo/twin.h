// The twin, doing what the solo child does: the same mappings before the first call, the same words after each.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "../twin_calls.h"
#include "kernel.h"
#include "mm/machine/machine.h"
#include "mm/machine/proc_text.h"

namespace faultline::spec::solo {

class Twin {
 public:
  explicit Twin(const Kernel& kernel);
  Answer run(const Call& call);
  void observe(const Answer& answer, const Watch& watch, std::vector<std::uint64_t>& words) const;
  const mm::AddressSpace& space() const { return machine_->process(pid_).space(); }
  mm::Machine& machine() { return *machine_; }
  const mm::ProcNames& names() const { return names_; }
  const mm::Process& process() const { return machine_->process(pid_); }

 private:
  void name_mappings(const Kernel& kernel);
  void put_maps(std::uint64_t start, std::uint64_t end, std::uint64_t origin, std::vector<std::uint64_t>& words) const;
  void put_pages(std::uint64_t start, std::uint64_t end, std::uint64_t origin, std::vector<std::uint64_t>& words) const;

  std::unique_ptr<mm::Machine> machine_;
  mm::Pid pid_ = 0;
  InUse in_use_;
  mm::ProcNames names_;
};

}  // namespace faultline::spec::solo
