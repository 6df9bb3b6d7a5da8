// expect: a script's own checks. What was found is printed, and the script ends with status 1, when one does not hold.
#include <fmt/format.h>

#include "lab/picture.h"
#include "lab/verb.h"

namespace faultline::lab {

namespace {

enum class Unit : std::uint8_t { count, bytes };

// About the current process.
struct ProcessFact {
  std::string_view name;
  Unit unit;
  std::uint64_t (*found)(const LabProcess&);
};
constexpr ProcessFact kProcessFacts[] = {
    {"minflt", Unit::count, [](const LabProcess& p) { return p.process().faults().minor; }},
    {"majflt", Unit::count, [](const LabProcess& p) { return p.process().faults().major; }},
    {"mappings", Unit::count, [](const LabProcess& p) { return std::uint64_t{p.space().vmas().size()}; }},
    {"rss", Unit::bytes, [](const LabProcess& p) { return p.space().statistics().resident_pages * kPageSize; }},
    {"vsz", Unit::bytes, [](const LabProcess& p) { return p.space().mapped().total * kPageSize; }},
    {"tables", Unit::bytes, [](const LabProcess& p) { return p.space().page_table().table_bytes().value; }},
    {"heap", Unit::bytes, [](const LabProcess& p) { return p.space().current_brk().value - p.space().start_brk().value; }},
};

// About the last command and the machine.
struct CommandFact {
  std::string_view name;
  std::uint64_t (*found)(Lab&);
};
constexpr CommandFact kCommandFacts[] = {
    {"faults", [](Lab& lab) { return lab.effects().faults(); }},
    {"calls", [](Lab& lab) { return lab.effects().calls(); }},
    {"brk", [](Lab& lab) { return lab.effects().calls("brk"); }},
    {"mmap", [](Lab& lab) { return lab.effects().calls("mmap"); }},
    {"munmap", [](Lab& lab) { return lab.effects().calls("munmap"); }},
    {"madvise", [](Lab& lab) { return lab.effects().calls("madvise"); }},
    {"mremap", [](Lab& lab) { return lab.effects().calls("mremap"); }},
    {"frames", [](Lab& lab) { return lab.machine().frames().in_use(); }},
};

struct Word {
  std::string_view name;
  std::string_view values;
  std::string (*found)(Lab&);
};
constexpr Word kWords[] = {
    {"error", "an error such as ENOMEM, or none",
     [](Lab& lab) { return std::string(lab.effects().error() ? mm::name_of(*lab.effects().error()) : "none"); }},
    {"signal", "SIGSEGV, SIGBUS, SIGKILL, SIGABRT or none",
     [](Lab& lab) { return lab.effects().signal().empty() ? std::string("none") : lab.effects().signal(); }},
};

Result<void> compare(Lab& lab, const std::string& what, const std::string& wanted, const std::string& found) {
  if (wanted == found) return {};
  lab.print(fmt::format("  expected {} {}, found {}", what, wanted, found));
  lab.expectation_failed();
  return {};
}

Result<void> compare(Lab& lab, Arguments& arguments, const std::string& what, Unit unit, std::uint64_t found, std::uint64_t wanted) {
  FL_CHECK(arguments.end());
  if (unit == Unit::bytes) return compare(lab, what, size_text(wanted), size_text(found));
  return compare(lab, what, std::to_string(wanted), std::to_string(found));
}

Result<void> expect(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::string name, arguments.word("something to expect such as minflt"));
  for (const Word& fact : kWords) {
    if (fact.name != name) continue;
    FL_TRY(const std::string wanted, arguments.word(fact.values));
    FL_CHECK(arguments.end());
    return compare(lab, name, wanted, fact.found(lab));
  }
  for (const CommandFact& fact : kCommandFacts) {
    if (fact.name != name) continue;
    FL_TRY(const std::uint64_t wanted, arguments.number(0, ~std::uint64_t{0}, "a number"));
    return compare(lab, arguments, name, Unit::count, fact.found(lab), wanted);
  }
  for (const ProcessFact& fact : kProcessFacts) {
    if (fact.name != name) continue;
    FL_TRY(const std::uint64_t wanted, arguments.size(fact.unit == Unit::bytes ? "a size" : "a number"));
    FL_TRY(const LabProcess* process, lab.current());
    return compare(lab, arguments, name, fact.unit, fact.found(*process), wanted);
  }
  if (name == "resident") {
    FL_TRY(const std::uint64_t wanted, arguments.size("a size"));
    const std::string what = fmt::format("resident {}", arguments.peek());
    FL_TRY(const Range range, arguments.range(1));
    FL_TRY(const LabProcess* process, lab.current());
    if (range.length > process->space().profile().task_end || range.start > process->space().profile().task_end - range.length) {
      return fail(make_error("expect: wanted a range of the program's, found {:#x} and {}", range.start, size_text(range.length)));
    }
    const Residency found = residency(process->space(), range.start, range.start + range.length);
    return compare(lab, arguments, what, Unit::bytes, found.frames * kPageSize, wanted);
  }
  std::string all = "resident";
  for (const Word& fact : kWords) all += fmt::format(", {}", fact.name);
  for (const CommandFact& fact : kCommandFacts) all += fmt::format(", {}", fact.name);
  for (const ProcessFact& fact : kProcessFacts) all += fmt::format(", {}", fact.name);
  return fail(make_error("expect: wanted one of {}; found {}", all, quoted(name)));
}

constexpr Verb kVerbs[] = {
    {"expect",
     "FACT VALUE; resident SIZE RANGE; about the last command: faults calls brk mmap munmap madvise mremap error signal; about the "
     "process: minflt majflt mappings rss vsz tables heap; about the machine: frames",
     "ends the script with status 1 unless it holds: expect minflt 3, expect resident 8K a, expect error ENOMEM", expect,
     Verb::Result::none, true},
};

}  // namespace

std::span<const Verb> expect_verbs() { return kVerbs; }

}  // namespace faultline::lab
