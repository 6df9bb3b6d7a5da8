#include "analyze/reference_summary.h"

#include "analyze/flat_set.h"

namespace faultline::analyze {

using trace::ReferenceEvent;
using trace::ReferenceKind;

namespace {

struct Pages {
  FlatCounter seen;
  bool last_of_all = false;  // the one number FlatCounter cannot hold
  std::uint64_t latest = ~std::uint64_t{0};
};

constexpr std::uint32_t kMostProcesses = 1u << 22;  // what Linux has at most

}  // namespace

Result<ReferenceSummary> summarize(trace::ReferenceSource& source) {
  FL_CHECK(source.rewind());
  ReferenceSummary summary;
  std::vector<Pages> pages;
  std::vector<ReferenceEvent> events(1u << 13);
  for (;;) {
    FL_TRY(const std::size_t count, source.next(events));
    if (count == 0) break;
    summary.events += count;
    for (std::size_t i = 0; i < count; ++i) {
      const ReferenceEvent& event = events[i];
      ++summary.by_kind[static_cast<std::size_t>(event.kind)];
      if (event.process >= pages.size()) {
        if (event.process >= kMostProcesses) return fail(make_error("event {}: process number {}: wanted less than {}", summary.events - count + i, event.process, kMostProcesses));
        pages.resize(event.process + 1);
        summary.processes.resize(event.process + 1);
      }
      if (event.kind == ReferenceKind::file_read) summary.file_read_pages += event.pages;
      if (event.kind == ReferenceKind::file_write) summary.file_write_pages += event.pages;
      if (!trace::is_touch(event.kind)) continue;
      Pages& own = pages[event.process];
      ++summary.processes[event.process].touches;
      if (event.page == ~std::uint64_t{0}) own.last_of_all = true;
      else if (event.page != own.latest) own.seen.add(own.latest = event.page);
    }
  }
  for (std::size_t i = 0; i < pages.size(); ++i) {
    summary.processes[i].distinct_pages = pages[i].seen.size() + (pages[i].last_of_all ? 1 : 0);
    summary.distinct_pages += summary.processes[i].distinct_pages;
    summary.touches += summary.processes[i].touches;
  }
  summary.dropped = source.dropped();
  return summary;
}

}  // namespace faultline::analyze
