// FileContention: whether two tasks were at the same pages of a file at the same moment. Fault-around leaves out a page whose folio another
// task has locked just then (next_uptodate_folio() in mm/filemap.c: folio_trylock); the fault that this page then takes later has no cause
// in the process's own history.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "mm/space/vma.h"
#include "trace/event.h"

namespace faultline::replay {

class FileContention {
 public:
  // A fault in a mapping of a file; in the order of time.
  void note(const mm::Vma& vma, trace::Pid pid, const trace::FaultEvent& fault);
  // The process had its chance to get this page along with a neighbour, while another task was there.
  bool at_once(const mm::Vma& vma, trace::Pid pid, const trace::FaultEvent& fault) const;

 private:
  struct Visit {
    std::uint64_t time_ns = 0;
    trace::Pid pid = 0;
    trace::Tid tid = 0;
  };
  using Window = std::pair<std::uint64_t, std::uint64_t>;  // file, and which 16 pages of it are mapped together
  static bool others_at(std::span<const Visit> visits, const Visit& mine);
  static Window window_of(const mm::Vma& vma, std::uint64_t address);

  std::map<Window, std::vector<Visit>> visits_;
};

}  // namespace faultline::replay
