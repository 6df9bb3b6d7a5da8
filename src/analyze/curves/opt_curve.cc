#include "analyze/curves/opt_curve.h"

#include <algorithm>

#include "analyze/curves/next_uses.h"

namespace faultline::analyze {
namespace {

constexpr std::uint64_t kHole = ~std::uint64_t{0};

}  // namespace

std::uint64_t OptDepths::touch(mm::PageId page, std::uint32_t next_use) {
  Entry down{next_use, page};
  std::size_t at = 0;
  for (; at < stack_.size(); ++at) {
    const bool found = stack_[at].page == page;
    // The new page goes on top whatever its priority; below, of two the one used later is pushed further down; its old place takes
    // what was pushed that far.
    if (at == 0 || found || stack_[at].next_use > down.next_use) std::swap(stack_[at], down);
    if (found) break;
  }
  steps_ += at + 1;
  if (at < stack_.size()) return at + 1;
  if (down.page != mm::kNoPage) stack_.push_back(down);
  return kAbsent;
}

void OptDepths::take_away(mm::PageId page) {
  const auto found = std::find_if(stack_.begin(), stack_.end(), [&](const Entry& entry) { return entry.page == page; });
  if (found == stack_.end()) return;
  *found = {kHole, mm::kNoPage};
  while (!stack_.empty() && stack_.back().page == mm::kNoPage) stack_.pop_back();
}

Result<MissCurve> opt_curve(PageStream& stream, std::uint64_t most_steps) {
  FL_TRY(const NextUses uses, NextUses::of(stream));
  OptDepths depths;
  std::vector<std::uint64_t> hits{0};
  std::uint64_t time = 0;
  for (;;) {
    FL_TRY(const PageBatch batch, stream.next());
    if (batch.pages.empty()) break;
    if (depths.steps() > most_steps) {
      return fail(make_error("OPT for all sizes: more than {} steps after {} of {} references; ask for single sizes", most_steps, time,
                             uses.references()));
    }
    for (std::size_t i = 0; i < batch.pages.size(); ++i) {
      if (batch.events[i] == PageEvent::gone) {
        depths.take_away(batch.pages[i]);
        continue;
      }
      const std::uint64_t depth = depths.touch(batch.pages[i], uses.data()[time++]);
      if (depth == OptDepths::kAbsent) continue;
      if (depth >= hits.size()) hits.resize(depth + depth / 2 + 64, 0);
      ++hits[depth];
    }
  }
  std::vector<MissPoint> points;
  auto misses = static_cast<double>(time);
  for (std::size_t depth = 1; depth < hits.size(); ++depth) {
    if (hits[depth] == 0) continue;
    misses -= static_cast<double>(hits[depth]);
    points.push_back({depth, misses});
  }
  return MissCurve(time, std::move(points), true);
}

}  // namespace faultline::analyze
