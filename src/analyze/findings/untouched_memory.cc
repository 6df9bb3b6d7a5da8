// Blocks much larger than what is ever touched of them. They cost no resident memory, but address space, and commit where it is limited.
#include <fmt/format.h>

#include <algorithm>

#include "analyze/analysis.h"
#include "analyze/format.h"

namespace faultline::analyze {
namespace {

constexpr std::uint64_t kLeast = std::uint64_t{16} << 20;
constexpr double kLeastShare = 0.5;  // of what is live

std::optional<Finding> look(const Analysis& analysis) {
  const Ledger* const peak = analysis.ledger_at("peak");
  if (peak == nullptr || peak->live_untouched_bytes < kLeast) return std::nullopt;
  const std::uint64_t touched = (*peak)[LedgerPart::heap_live] + (*peak)[LedgerPart::mmapped_live];
  const std::uint64_t untouched = peak->live_untouched_bytes;
  if (static_cast<double>(untouched) < kLeastShare * static_cast<double>(untouched + touched)) return std::nullopt;

  Finding finding;
  finding.title = fmt::format("{} of {} in live blocks were not touched by the peak: no resident memory, but address space and commit", format_bytes(untouched),
                              format_bytes(untouched + touched));
  std::vector<const LedgerSite*> sites;
  for (const LedgerSite& site : peak->sites) sites.push_back(&site);
  std::sort(sites.begin(), sites.end(), [](const LedgerSite* x, const LedgerSite* y) { return x->untouched_bytes > y->untouched_bytes; });
  for (std::size_t i = 0; i < sites.size() && i < 3 && sites[i]->untouched_bytes >= kWorthBytes; ++i) {
    finding.lines.push_back(fmt::format("{} ({}): {} untouched, {} touched, in {} blocks", sites[i]->name.function, sites[i]->name.location(), format_bytes(sites[i]->untouched_bytes),
                                        format_bytes(sites[i]->resident_bytes), format_count(sites[i]->blocks)));
  }
  finding.next = "ask for less, and grow on demand; it matters where RLIMIT_AS, a strict overcommit mode or huge pages are (a huge page makes untouched memory resident)";
  finding.predicted = Gain{.mapped_bytes = static_cast<std::int64_t>(untouched)};
  return finding;
}

FL_REGISTER_FINDING(untouched_memory, look);

}  // namespace
}  // namespace faultline::analyze
