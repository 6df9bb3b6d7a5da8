// Folded stacks: `outermost;...;innermost COUNT` a line, as flamegraph.pl, inferno and speedscope read them.
#include <fmt/format.h>

#include <algorithm>

#include "report/exporter.h"

namespace faultline::report {
namespace {

// A ; would be two frames, and what follows the last blank is the count.
std::string escaped(std::string name) {
  std::replace(name.begin(), name.end(), ';', ':');
  std::replace_if(name.begin(), name.end(), [](char c) { return c == '\n' || c == '\r' || c == '\0'; }, ' ');
  return name;
}

void run(const ExportInput& input, ExportOutput& output) {
  std::vector<std::string> names;
  for (const analyze::ProfileFrame& frame : input.profile.frames) names.push_back(escaped(frame.function));
  std::string line;
  for (const analyze::ProfileStack& stack : input.profile.stacks) {
    const std::uint64_t value = stack.value(input.sample);
    if (value == 0) continue;
    line.clear();
    for (auto frame = stack.frames.rbegin(); frame != stack.frames.rend(); ++frame) line += (line.empty() ? "" : ";") + names[*frame];
    output.write(fmt::format("{} {}\n", line, value));
  }
}

FL_REGISTER_EXPORTER("folded", "folded", "stacks with one number (--sample): flamegraph.pl, inferno, speedscope", run);

}  // namespace
}  // namespace faultline::report
