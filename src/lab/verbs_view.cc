// Looking: nothing here changes the machine.
#include <fmt/format.h>

#include "lab/listings.h"
#include "lab/picture.h"
#include "lab/verb.h"

namespace faultline::lab {

namespace {

void print(Lab& lab, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) lab.print("  " + line);
}

Result<void> show(Lab& lab, Arguments& arguments) {
  FL_CHECK(arguments.end());
  FL_TRY(LabProcess* const process, lab.current());
  lab.print(fmt::format("  process {} (pid {}), {}", process->name(), process->process().pid(), process->program()));
  print(lab, picture_of(lab, *process));
  lab.print(fmt::format("  {}", picture_legend()));
  return {};
}

Result<void> picture(Lab& lab, Arguments& arguments) {
  if (arguments.accept("on")) {
    lab.set_picture(true);
  } else if (arguments.accept("off")) {
    lab.set_picture(false);
  } else {
    return fail(make_error("picture: wanted on or off, found {}", quoted(arguments.peek())));
  }
  return {};
}

Result<void> walk(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::uint64_t address, arguments.address());
  FL_CHECK(arguments.end());
  FL_TRY(const LabProcess* process, lab.current());
  print(lab, list_walk(lab, *process, address));
  return {};
}

Result<void> ps(Lab& lab, Arguments& arguments) {
  FL_CHECK(arguments.end());
  print(lab, list_processes(lab));
  return {};
}

Result<void> maps(Lab& lab, Arguments& arguments) {
  FL_CHECK(arguments.end());
  FL_TRY(const LabProcess* process, lab.current());
  print(lab, list_maps(lab, *process));
  return {};
}

Result<void> smaps(Lab& lab, Arguments& arguments) {
  FL_CHECK(arguments.end());
  FL_TRY(const LabProcess* process, lab.current());
  print(lab, list_smaps(lab, *process));
  return {};
}

Result<void> heap(Lab& lab, Arguments& arguments) {
  FL_CHECK(arguments.end());
  FL_TRY(LabProcess* const process, lab.current());
  print(lab, list_heap(*process));
  return {};
}

Result<void> faults(Lab& lab, Arguments& arguments) {
  FL_CHECK(arguments.end());
  FL_TRY(const LabProcess* process, lab.current());
  print(lab, list_faults(*process));
  return {};
}

Result<void> help(Lab& lab, Arguments& arguments) {
  if (!arguments.done()) {
    FL_TRY(const std::string name, arguments.word("a command"));
    const Verb* verb = find_verb(name);
    if (verb == nullptr) return fail(make_error("help: wanted a command, found {}: `help` lists them", quoted(name)));
    lab.print(fmt::format("  {}{} {}", verb->gives == Verb::Result::address ? "[NAME =] " : "", verb->name, verb->usage));
    lab.print(fmt::format("  {}", verb->summary));
    return {};
  }
  for (const VerbGroup& group : verb_groups()) {
    lab.print(fmt::format("{}:", group.title));
    for (const Verb& verb : group.verbs) lab.print(fmt::format("  {:<12} {}", verb.name, verb.summary));
  }
  lab.print("sizes: 4096, 30K, 4M, 1G; addresses: a block's name, 0x7f..., break, heap, stack, text, data, and sums such as a+4096");
  lab.print("repeat N COMMAND: N times, with 1, 2, ... in the place of %; # starts a comment; help COMMAND tells more");
  return {};
}

Result<void> quit(Lab& lab, Arguments& arguments) {
  FL_CHECK(arguments.end());
  lab.stop();
  return {};
}

constexpr auto kNone = Verb::Result::none;
constexpr Verb kVerbs[] = {
    {"show", "", "a picture of the address space, low to high", show, kNone, true},
    {"picture", "on|off", "that picture after every command that changed it", picture, kNone, true, false},
    {"walk", "ADDRESS", "the page walk: four levels, and the frame", walk, kNone, true},
    {"ps", "", "processes: faults, resident and virtual size, page tables", ps, kNone, true, false},
    {"maps", "", "the mappings, as in /proc/PID/maps", maps, kNone, true},
    {"smaps", "", "the same with sizes, as in /proc/PID/smaps", smaps, kNone, true},
    {"heap", "", "malloc's chunks, low to high", heap, kNone, true},
    {"faults", "", "faults by the path that served them", faults, kNone, true},
    {"help", "[COMMAND]", "this list, or one command", help, kNone, true, false},
    {"quit", "", "ends the session or the script", quit, kNone, true, false},
};

}  // namespace

std::span<const Verb> view_verbs() { return kVerbs; }

}  // namespace faultline::lab
