// OpenMetrics text (the specification's version 1.0): totals of the process, and each number by allocating function.
#include <fmt/format.h>

#include <map>

#include "report/exporter.h"

namespace faultline::report {
namespace {

using analyze::Sample;

std::string escaped(const std::string& label) {
  std::string result;
  for (const char c : label) {
    if (c == '\\' || c == '"') result += '\\';
    if (c == '\n') result += "\\n";
    else result += c;
  }
  return result;
}

void family(ExportOutput& output, const std::string& name, const char* type, const char* unit, const char* help) {
  output.write(fmt::format("# TYPE {} {}\n", name, type));
  if (*unit != '\0') output.write(fmt::format("# UNIT {} {}\n", name, unit));
  output.write(fmt::format("# HELP {} {}\n", name, help));
}

void single(ExportOutput& output, const std::string& name, const char* help, std::uint64_t bytes) {
  family(output, name, "gauge", "bytes", help);
  output.write(fmt::format("{} {}\n", name, bytes));
}

struct Metric {
  Sample sample;
  const char* name;
  const char* help;
};

constexpr Metric kGauges[] = {{Sample::inuse_space, "faultline_live_bytes", "Bytes never freed, by the function that asked malloc for them."},
                              {Sample::peak_space, "faultline_peak_live_bytes", "Bytes live when the most were."},
                              {Sample::resident_space, "faultline_live_resident_bytes", "Of the bytes never freed, those in resident pages."}};
constexpr Metric kCounters[] = {{Sample::alloc_space, "faultline_allocated_bytes", "Bytes asked of malloc."},
                                {Sample::alloc_objects, "faultline_allocations", "Calls that allocated."},
                                {Sample::page_faults, "faultline_page_faults", "Page faults, minor and major, by whose memory it was."},
                                {Sample::major_faults, "faultline_major_page_faults", "Page faults that waited for a device."}};

void by_function(const ExportInput& input, ExportOutput& output, const Metric& metric, bool counter) {
  const analyze::Profile& profile = input.profile;
  if (!profile.holds(metric.sample)) return;
  std::map<std::string, std::uint64_t> sums;  // stacks that end in the same function
  for (const analyze::ProfileStack& stack : profile.stacks) {
    const analyze::ProfileFrame& frame = profile.frames[stack.frames.front()];
    if (stack.value(metric.sample) > 0) sums[fmt::format("function=\"{}\",file=\"{}\",line=\"{}\"", escaped(frame.function), escaped(frame.file), frame.line)] += stack.value(metric.sample);
  }
  family(output, metric.name, counter ? "counter" : "gauge", sample_is_bytes(metric.sample) ? "bytes" : "", metric.help);
  for (const auto& [labels, sum] : sums) output.write(fmt::format("{}{}{{{}}} {}\n", metric.name, counter ? "_total" : "", labels, sum));
}

void run(const ExportInput& input, ExportOutput& output) {
  const analyze::Profile& profile = input.profile;
  family(output, "faultline_process", "info", "", "The recorded process.");
  output.write(fmt::format("faultline_process_info{{command=\"{}\",pid=\"{}\"}} 1\n", escaped(profile.command), profile.pid));
  if (profile.rss_peak_bytes > 0) {
    single(output, "faultline_rss_peak_bytes", "The most that was resident.", profile.rss_peak_bytes);
    single(output, "faultline_rss_end_bytes", "Resident at the end.", profile.rss_end_bytes);
  }
  for (const Metric& metric : kGauges) by_function(input, output, metric, false);
  for (const Metric& metric : kCounters) by_function(input, output, metric, true);
  output.write("# EOF\n");
}

FL_REGISTER_EXPORTER("openmetrics", "prom", "totals and numbers by function: Prometheus and what reads its text", run);

}  // namespace
}  // namespace faultline::report
