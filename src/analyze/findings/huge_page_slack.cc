// Huge pages that make memory resident of which nothing is in use: a heap's top, the ends of mapped blocks.
#include <fmt/format.h>

#include "analyze/analysis.h"
#include "analyze/format.h"

namespace faultline::analyze {
namespace {

constexpr double kLeastShare = 0.1;  // of resident memory

std::optional<Finding> look(const Analysis& analysis) {
  const Ledger* worst = nullptr;
  for (const char* when : {"peak", "end"}) {
    const Ledger* const ledger = analysis.ledger_at(when);
    if (ledger != nullptr && (worst == nullptr || (*ledger)[LedgerPart::thp_slack] > (*worst)[LedgerPart::thp_slack])) worst = ledger;
  }
  if (worst == nullptr) return std::nullopt;
  const std::uint64_t slack = (*worst)[LedgerPart::thp_slack];
  if (slack < kWorthBytes || static_cast<double>(slack) < kLeastShare * static_cast<double>(worst->sum_bytes())) return std::nullopt;

  Finding finding;
  finding.bytes = slack;
  finding.title = fmt::format("huge pages make {} resident that nothing is in, of {} in huge pages at the {}", format_bytes(slack), format_bytes(worst->huge_bytes), worst->when);
  finding.lines.push_back(analysis.thp_mode == "always" ? "the machine gives huge pages to every mapping (THP always)" : "the program asked for them: glibc.malloc.hugetlb or madvise(MADV_HUGEPAGE)");
  finding.lines.push_back("what lies untouched within live blocks is not counted here: a huge page hides it");
  finding.next = analysis.thp_mode == "always" ? "madvise(MADV_NOHUGEPAGE) on these mappings, or prctl(PR_SET_THP_DISABLE)" : "leave glibc.malloc.hugetlb unset";
  finding.predicted = Gain{};
  (worst->when == "end" ? finding.predicted->rss_end_bytes : finding.predicted->rss_peak_bytes) = static_cast<std::int64_t>(slack);
  return finding;
}

FL_REGISTER_FINDING(huge_page_slack, look);

}  // namespace
}  // namespace faultline::analyze
