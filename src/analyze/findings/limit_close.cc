// The control group's memory limit is near what the process cannot do without: anonymous memory and page tables, which without swap only freeing
// takes away. Clean pages of files are not in it: under pressure they go, and come back as major faults.
#include <fmt/format.h>

#include <algorithm>

#include "analyze/analysis.h"
#include "analyze/format.h"

namespace faultline::analyze {
namespace {

constexpr double kClose = 0.8;  // of the limit

std::optional<Finding> look(const Analysis& analysis) {
  const Ledger* const peak = analysis.ledger_at("peak");
  const std::uint64_t limit = analysis.memory_limit_bytes;
  if (peak == nullptr || limit == 0) return std::nullopt;
  const std::uint64_t taken = peak->sum_bytes() - (*peak)[LedgerPart::recorder] - (*peak)[LedgerPart::kernel];
  const std::uint64_t clean = (*peak)[LedgerPart::file_clean] + (*peak)[LedgerPart::file_dirty];
  const std::uint64_t needed = taken - clean + peak->page_tables_bytes;
  if (static_cast<double>(needed) < kClose * static_cast<double>(limit)) return std::nullopt;
  std::uint64_t kept = 0;
  for (const LedgerPart part : {LedgerPart::heap_tcache, LedgerPart::heap_fastbins, LedgerPart::heap_free, LedgerPart::heap_pinned, LedgerPart::heap_top, LedgerPart::arena_slack, LedgerPart::thp_slack})
    kept += (*peak)[part];

  Finding finding;
  finding.bytes = needed;
  finding.title = fmt::format("{} of the memory limit of {} cannot be reclaimed at the peak: {} are left", format_share(static_cast<double>(needed) / static_cast<double>(limit)), format_bytes(limit),
                              format_bytes(limit - std::min(limit, needed)));
  finding.lines.push_back(fmt::format("{} of anonymous and shared memory and page tables; beside it {} of files, which go under pressure and come back as major faults", format_bytes(needed),
                                      format_bytes(clean)));
  finding.lines.push_back(fmt::format("of it live blocks {}, free memory that malloc keeps {}", format_bytes((*peak)[LedgerPart::heap_live] + (*peak)[LedgerPart::mmapped_live]), format_bytes(kept)));
  for (std::size_t i = 0; i < peak->sites.size() && i < 2; ++i)
    finding.lines.push_back(fmt::format("{} ({}): {} in {} blocks", peak->sites[i].name.function, peak->sites[i].name.location(), format_bytes(peak->sites[i].resident_bytes), format_count(peak->sites[i].blocks)));
  finding.lines.push_back("other processes of the group come on top, and what its own files take that it reads or writes without mapping them");
  finding.next = fmt::format("give it {} at least, or take less at the peak: faultline advise {}, faultline limits", format_bytes(static_cast<std::uint64_t>(static_cast<double>(needed) / kClose)), analysis.file);
  return finding;
}

FL_REGISTER_FINDING(limit_close, look);

}  // namespace
}  // namespace faultline::analyze
