// The program's own accesses: one byte of every page of a range.
#include <fmt/format.h>

#include "lab/verb.h"

namespace faultline::lab {

namespace {

Result<void> access(Lab& lab, Arguments& arguments, bool write) {
  FL_TRY(const Range range, arguments.range(1));
  FL_CHECK(arguments.end());
  FL_TRY(LabProcess* const process, lab.current());
  const std::uint64_t first = page_floor(range.start);
  const std::uint64_t pages = range.length == 0 ? 1 : ((range.start + range.length - 1) >> kPageShift) - (range.start >> kPageShift) + 1;
  if (pages > lab.options().most_pages_at_once) {
    return fail(make_error("{}: wanted at most {} at once, found {}", arguments.verb(), size_text(lab.options().most_pages_at_once * kPageSize), size_text(range.length)));
  }
  process->memory().report_to(&lab.effects());
  mm::Access met = mm::Access::hit;
  std::uint64_t done = 0;
  std::uint64_t at = range.start;
  process->process().run([&](mm::AddressSpace&) {
    while (done < pages && !mm::refused(met = process->memory().access(at, write))) at = first + ++done * kPageSize;
  });
  if (mm::refused(met)) {
    const std::string why = fmt::format("the {} of {:#x} is refused: {}", write ? "write" : "read", at, reason_of(process->space(), met, at, write));
    if (done != 0) lab.effects().first_note(fmt::format("{} of {} pages accessed", done, pages));
    if (met == mm::Access::out_of_memory) {
      lab.kill(*process, signal_of(met), why);
    } else {  // as if a handler jumped out
      lab.effects().signal(signal_of(met));
      lab.effects().note(fmt::format("{}: {}", signal_of(met), why));
    }
    return {};
  }
  if (lab.effects().faults() == 0) lab.effects().note(fmt::format("{}, no fault", count_text(pages, "page")));
  return {};
}

Result<void> read(Lab& lab, Arguments& arguments) { return access(lab, arguments, false); }
Result<void> write(Lab& lab, Arguments& arguments) { return access(lab, arguments, true); }

constexpr Verb kVerbs[] = {
    {"touch", "RANGE", "writes one byte in every page of the range; a name alone is the whole block, an address alone one byte", write},
    {"write", "RANGE", "the same", write},
    {"read", "RANGE", "reads one byte in every page", read},
};

}  // namespace

std::span<const Verb> access_verbs() { return kVerbs; }

}  // namespace faultline::lab
