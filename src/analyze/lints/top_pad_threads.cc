// top_pad in a program with threads: the arenas of threads grow by what is asked for, page by page, whatever top_pad says; it
// only makes the first piece of each arena larger. malloc/arena.c: new_heap adds it, grow_heap does not.
#include <fmt/format.h>

#include "analyze/format.h"
#include "analyze/lints.h"
#include "heap/settings.h"

namespace faultline::analyze {
namespace {

constexpr std::uint64_t kDefault = 128 * 1024;

std::vector<Lint> look(const LintInput& input) {
  if (input.threads < 2) return {};
  const std::uint64_t pad = input.value(heap::kTopPad, &heap::Tunables::top_pad).value_or(0);
  if (pad <= kDefault) return {};
  Lint lint;
  lint.title = fmt::format("top_pad of {} does little for {} of the {} threads: their arenas ignore it when they grow", format_bytes(pad), input.threads - 1, input.threads);
  lint.lines.push_back("it makes the first piece of each arena that much larger (as long as that is within 64 MiB); after that an arena grows by one mprotect for each page or request");
  lint.next = "arena_max=1 if the lock is no problem: the main arena obeys top_pad";
  if (!input.tunables.arena_max && input.mallopts.empty()) lint.instead = with_value(input.tunables, "arena_max", "1");
  return {lint};
}

FL_REGISTER_LINT(top_pad_threads, look);

}  // namespace
}  // namespace faultline::analyze
