// Page tables that are large beside what they map: memory touched thinly, a page here and there, each of which needs a table of 4 KiB for
// its 2 MiB. And mappings near the number a process may have (vm.max_map_count).
#include <fmt/format.h>

#include <algorithm>

#include "analyze/analysis.h"
#include "analyze/format.h"
#include "base/units.h"

namespace faultline::analyze {
namespace {

constexpr std::uint64_t kTableSpan = std::uint64_t{2} << 20;
constexpr double kLeastShare = 0.05;       // of resident memory
constexpr std::uint64_t kMapCount = 65530; // vm.max_map_count as the kernel has it by default

std::optional<Finding> look(const Analysis& analysis) {
  const Ledger* const peak = analysis.ledger_at("peak");
  if (peak == nullptr) return std::nullopt;
  const std::uint64_t dense = (peak->sum_bytes() / kTableSpan + 1) * kPageSize;  // if what is resident lay side by side
  const std::uint64_t excess = peak->page_tables_bytes - std::min(peak->page_tables_bytes, dense);
  const bool thin = excess >= kWorthBytes && static_cast<double>(excess) >= kLeastShare * static_cast<double>(peak->sum_bytes());
  const bool many = peak->mappings >= kMapCount / 4;
  if (!thin && !many) return std::nullopt;

  Finding finding;
  finding.bytes = thin ? excess : 0;
  finding.title = thin ? fmt::format("{} of page tables for {} of resident memory: it lies thinly in {} of address space", format_bytes(peak->page_tables_bytes), format_bytes(peak->sum_bytes()),
                                     format_bytes(peak->mapped_bytes))
                       : fmt::format("{} mappings: at {} (vm.max_map_count by default) mmap, mprotect and malloc's large blocks are refused", format_count(peak->mappings), format_count(kMapCount));
  if (thin) finding.lines.push_back(fmt::format("side by side, the same pages would need {} of tables; they are not in RSS, but a container's limit counts them", format_bytes(dense)));
  if (thin && many) finding.lines.push_back(fmt::format("{} mappings; {} are allowed by default (vm.max_map_count)", format_count(peak->mappings), format_count(kMapCount)));
  for (const RegionRow& row : analysis.regions) {
    if (row.region != Region::program_mapping && row.region != Region::mmapped_chunk) continue;
    for (std::size_t i = 0; i < row.touches.size() && i < 2; ++i) {
      finding.lines.push_back(fmt::format("{}: touched by {} ({}), {} pages", region_title(row.region), row.touches[i].code.function, row.touches[i].code.location(),
                                          format_count(row.touches[i].minor_faults)));
    }
  }
  finding.next = thin ? "use memory from one end on (an index into a dense array, a pool), not spread by address" : "map larger pieces, protect whole ranges: each change of rights within a mapping splits it";
  finding.predicted = Gain{.page_tables_bytes = static_cast<std::int64_t>(excess)};
  return finding;
}

FL_REGISTER_FINDING(page_tables, look);

}  // namespace
}  // namespace faultline::analyze
