// Pressure stall information (Documentation/accounting/psi.rst): time in which tasks waited for memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "live/proc.h"

namespace faultline::live {

struct Pressure {
  std::uint64_t some_us = 0;  // since boot, or since the group began: at least one task waited
  std::uint64_t full_us = 0;  // no task of the machine or group got on
};

class PressureSource {
 public:
  // The process's own control group where it has one with memory.pressure (cgroup 2), else the machine.
  static PressureSource of(const Proc& proc, Pid pid);
  std::optional<Pressure> read() const;  // none: the kernel keeps none (CONFIG_PSI), or it is not permitted
  const std::string& scope() const { return scope_; }  // "machine", or the group's path

 private:
  std::string scope_;
  Descriptor file_;
};

}  // namespace faultline::live
