#include "analyze/curves/next_uses.h"

#include <algorithm>
#include <vector>

namespace faultline::analyze {

Result<NextUses> NextUses::of(PageStream& stream, std::uint64_t memory_limit) {
  NextUses uses;
  std::pmr::vector<std::uint32_t> last(huge_memory());  // reference of each page, kNever: none, or its contents are gone
  for (;;) {
    FL_TRY(const PageBatch batch, stream.next());
    if (batch.pages.empty()) break;
    if (uses.references_ + batch.pages.size() >= kNever) {
      return fail(make_error("a policy that sees the future takes at most {} references", kNever - 1));
    }
    if (uses.references_ + batch.pages.size() > uses.next_.size()) {
      const std::size_t room = std::max<std::size_t>(uses.next_.size() * 2, std::size_t{1} << 20);
      if (room * sizeof(std::uint32_t) > memory_limit) FL_CHECK(uses.next_.move_to_file());
      FL_CHECK(uses.next_.grow(room));
    }
    last.resize(stream.pages(), kNever);
    std::uint32_t* const next = uses.next_.data();
    std::uint32_t now = static_cast<std::uint32_t>(uses.references_);
    constexpr std::size_t kAhead = 32;
    for (std::size_t i = 0; i < batch.pages.size(); ++i) {
      if (i + kAhead < batch.pages.size()) __builtin_prefetch(&last[batch.pages[i + kAhead]], 1);
      if (i + kAhead / 2 < batch.pages.size()) {
        const std::uint32_t soon = last[batch.pages[i + kAhead / 2]];
        if (soon != kNever) __builtin_prefetch(&next[soon], 1);
      }
      std::uint32_t& at = last[batch.pages[i]];
      if (batch.events[i] == PageEvent::gone) {
        at = kNever;
        continue;
      }
      if (at != kNever) next[at] = now;
      next[now] = kNever;
      at = now++;
    }
    uses.references_ = now;
  }
  if (auto again = stream.rewind(); !again) {
    return fail(make_error("a policy that sees the future reads the stream twice: {}", again.error().message()));
  }
  return uses;
}

}  // namespace faultline::analyze
