// One threshold-type parameter is set, and that freezes the others where they stand. mallopt(3): dynamic adjustment of the mmap
// threshold is disabled by any of M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX.
#include <fmt/format.h>

#include "analyze/lints.h"
#include "heap/settings.h"

namespace faultline::analyze {
namespace {

std::vector<Lint> look(const LintInput& input) {
  const heap::Tunables& t = input.tunables;
  const bool mmap = input.value(heap::kMmapThreshold, &heap::Tunables::mmap_threshold).has_value();
  const bool trim = input.value(heap::kTrimThreshold, &heap::Tunables::trim_threshold).has_value();
  const bool pad = input.value(heap::kTopPad, &heap::Tunables::top_pad).has_value();
  const bool max = input.value(heap::kMmapMax, &heap::Tunables::mmap_max).has_value();
  if (!(mmap || trim || pad || max) || (trim && (mmap || max))) return {};
  std::string set, frozen;
  const auto add = [](std::string& list, bool is, const char* name) {
    if (is) list += (list.empty() ? "" : " and ") + std::string(name);
  };
  add(set, mmap, "mmap_threshold");
  add(set, trim, "trim_threshold");
  add(set, pad, "top_pad");
  add(set, max, "mmap_max");
  add(frozen, !mmap && !max, "mmap_threshold");
  add(frozen, !trim, "trim_threshold");
  Lint lint;
  lint.title = fmt::format("{} alone: setting {} froze {} at 128 KiB; without a setting malloc would adapt {} to the program", set, pad + mmap + trim + max > 1 ? "them" : "it",
                           frozen, !mmap && !max && !trim ? "both" : "it");
  if (!trim) lint.lines.push_back("each free that leaves 128 KiB at the top of the heap gives it back, to be faulted in again");
  if (!mmap && !max) lint.lines.push_back("each block of 128 KiB and more is mapped, and unmapped when it is freed, however often it comes back");
  lint.next = fmt::format("set both thresholds, or neither: faultline advise {}", input.file.empty() ? "FILE" : input.file);
  if (input.mallopts.empty()) {
    lint.instead = t;
    lint.instead->mmap_threshold = lint.instead->trim_threshold = lint.instead->top_pad = std::nullopt;
    lint.instead->mmap_max = std::nullopt;
  }
  return {lint};
}

FL_REGISTER_LINT(lone_threshold, look);

}  // namespace
}  // namespace faultline::analyze
