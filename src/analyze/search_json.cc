#include "analyze/search_json.h"

#include <cmath>

namespace faultline::analyze {

nlohmann::ordered_json to_json(const replay::Pair& pair) { return {{"predicted", pair.predicted}, {"observed", pair.observed}}; }

nlohmann::ordered_json to_json(const replay::Prediction& p) {
  return {{"minor_faults", p.minor_faults()},
          {"heap_minor_faults", p.heap_minor},
          {"mmapped_chunks_minor_faults", p.mmapped_minor},
          {"thread_heaps_minor_faults", p.thread_heap_minor},
          {"rest_minor_faults", p.rest_minor},
          {"major_faults", p.major_faults},
          {"rss_peak_bytes", p.rss_peak_bytes},
          {"rss_end_bytes", p.rss_end_bytes},
          {"brk_calls", p.calls.brk},
          {"mmap_calls", p.calls.mmap},
          {"munmap_calls", p.calls.munmap},
          {"mprotect_calls", p.calls.mprotect},
          {"madvise_calls", p.calls.madvise},
          {"mremap_calls", p.calls.mremap},
          {"released_pages", p.released_pages},
          {"failed_allocations", p.failed},
          {"cost_ns", std::llround(p.cost_ns)}};
}

nlohmann::ordered_json error_json(const replay::Verification& verification, const replay::Prediction& prediction, const ErrorBar& error) {
  auto number = [](const std::optional<double>& value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
  };
  return {{"minor_faults_ratio", number(verification.fault_error())}, {"rss_peak_ratio", number(verification.rss_error())},
          {"unseen_minor_faults", prediction.unseen_minor},
          {"unseen_minor_faults_ratio", prediction.minor_faults() == 0 ? 0 : prediction.unseen_error / static_cast<double>(prediction.minor_faults())},
          {"minor_faults", std::llround(error.minor_faults)},
          {"cost_ns", std::llround(error.cost_ns)},
          {"rss_peak_bytes", std::llround(error.rss_peak_bytes)},
          {"rss_end_bytes", std::llround(error.rss_end_bytes)}};
}

nlohmann::ordered_json to_json(const ReplayedLint& lint) {
  return {{"id", lint.lint.id}, {"title", lint.lint.title}, {"lines", lint.lint.lines}, {"next", lint.lint.next},
          {"predicted", lint.instead ? to_json(*lint.instead) : nlohmann::ordered_json(nullptr)}};
}

nlohmann::ordered_json to_json(const Candidate& candidate, const replay::Verification& verification) {
  nlohmann::ordered_json settings = nlohmann::ordered_json::object();
  for (const auto& [name, value] : candidate.setting) settings[name] = value == kTakenAway ? nlohmann::ordered_json("default") : nlohmann::ordered_json(value);
  return {{"settings", settings},
          {"predicted", to_json(candidate.predicted)},
          {"error", error_json(verification, candidate.predicted, candidate.error)},
          {"saved_ns", std::llround(candidate.saved_ns)},
          {"on_front", candidate.on_front},
          {"near_best", candidate.near_best},
          {"raises_peak_rss", candidate.raises_peak},
          {"replayed", candidate.replayed},
          {"estimate", candidate.what_if.arena_estimate},
          {"unpriced", candidate.what_if.unpriced},
          {"assumptions", candidate.what_if.assumptions},
          {"env", candidate.what_if.environment()},
          {"code", candidate.what_if.code()}};
}

}  // namespace faultline::analyze
