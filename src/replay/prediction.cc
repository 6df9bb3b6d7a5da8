#include "replay/prediction.h"

namespace faultline::replay {

double cost_of(const Prediction& p, const trace::MachineCosts& costs) {
  auto times = [](std::uint64_t count, double each) { return static_cast<double>(count) * each; };
  return times(p.heap_minor + p.mmapped_minor, costs.minor_fault_ns) + times(p.released_pages, costs.munmap_page_ns) +
         times(p.calls.brk, costs.brk_ns) + times(p.calls.mmap, costs.mmap_ns) + times(p.calls.munmap, costs.munmap_ns) +
         times(p.calls.mremap, costs.mremap_ns) + times(p.calls.madvise + p.calls.mprotect, costs.madvise_ns);
}

}  // namespace faultline::replay
