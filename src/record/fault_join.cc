#include "record/fault_join.h"

#include <algorithm>

namespace faultline::record {
namespace {

// Bits of the page fault's error code: arch/x86/include/asm/trap_pf.h.
constexpr std::uint64_t kWrite = 1 << 1, kInstruction = 1 << 4;

trace::FaultAccess access_of(std::uint64_t error_code) {
  if ((error_code & kInstruction) != 0) return trace::FaultAccess::execute;
  return (error_code & kWrite) != 0 ? trace::FaultAccess::write : trace::FaultAccess::read;
}

}  // namespace

void FaultJoin::began(trace::Tid tid, std::uint64_t address, std::uint64_t ip, std::uint64_t error_code, std::vector<RawFault>& out) {
  const trace::FaultAccess access = access_of(error_code);
  const auto waits = std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& w) {
    return w.fault.fault.tid == tid && w.fault.fault.address == address && w.fault.fault.ip == ip;
  });
  if (waits != waiting_.end()) {
    waits->fault.fault.access = access;
    out.push_back(waits->fault);
    waiting_.erase(waits);
    return;
  }
  begun_[tid] = {address, ip, access};
}

void FaultJoin::handled(const RawFault& fault, std::vector<RawFault>& out) {
  const auto begun = begun_.find(fault.fault.tid);
  if (begun == begun_.end() || begun->second.address != fault.fault.address || begun->second.ip != fault.fault.ip) {
    waiting_.push_back({fault, false});
    return;
  }
  out.push_back(fault);
  out.back().fault.access = begun->second.access;
  begun_.erase(begun);
}

void FaultJoin::end_of_round(bool last, std::vector<RawFault>& out) {
  std::erase_if(waiting_, [&](Waiting& w) {
    if (last || w.old) out.push_back(w.fault);
    const bool done = last || w.old;
    w.old = true;
    return done;
  });
}

}  // namespace faultline::record
