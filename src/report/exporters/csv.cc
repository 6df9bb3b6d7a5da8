// CSV (RFC 4180): a row a call stack, with all that is known of it.
#include <fmt/format.h>

#include "report/exporter.h"

namespace faultline::report {
namespace {

using analyze::Sample;

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == text.npos) return text;
  std::string doubled;
  for (const char c : text) doubled.append(c == '"' ? 2 : 1, c);
  return fmt::format("\"{}\"", doubled);
}

void run(const ExportInput& input, ExportOutput& output) {
  const analyze::Profile& profile = input.profile;
  std::string head = "function,file,line,module,stack";
  for (std::size_t i = 0; i < analyze::kSamples; ++i) {
    const auto sample = static_cast<Sample>(i);
    head += fmt::format(",{}{}", sample_name(sample), sample_is_bytes(sample) ? "_bytes" : "");
  }
  output.write(head + "\r\n");
  for (const analyze::ProfileStack& stack : profile.stacks) {
    const analyze::ProfileFrame& inner = profile.frames[stack.frames.front()];
    std::string chain;
    for (const std::uint32_t frame : stack.frames) chain += (chain.empty() ? "" : " < ") + profile.frames[frame].function;
    std::string row = fmt::format("{},{},{},{},{}", quoted(inner.function), quoted(inner.file), inner.line > 0 ? std::to_string(inner.line) : "", quoted(inner.module), quoted(chain));
    for (std::size_t i = 0; i < analyze::kSamples; ++i) row += profile.known[i] ? fmt::format(",{}", stack.values[i]) : ",";
    output.write(row + "\r\n");
  }
}

FL_REGISTER_EXPORTER("csv", "csv", "a row a call stack, all numbers: spreadsheets, data frames", run);

}  // namespace
}  // namespace faultline::report
