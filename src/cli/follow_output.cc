#include "cli/follow_output.h"

#include <fmt/format.h>

#include <algorithm>

#include "analyze/search_text.h"

namespace faultline::cli {
namespace {

constexpr std::size_t kShown = 3;

nlohmann::ordered_json to_json(const std::vector<replay::FollowDifference>& differences) {
  auto list = nlohmann::ordered_json::array();
  for (const replay::FollowDifference& d : differences)
    list.push_back({{"time_ns", d.time_ns}, {"pid", d.pid}, {"tid", d.tid}, {"what", d.what}, {"expected", d.expected}, {"got", d.got}});
  return list;
}

void line(const char* what, std::uint64_t matched, std::uint64_t total, const std::string& note = {}) {
  fmt::print("{:<30} {:>14} {:>14}   {}{}\n", what, matched, total, matched == total ? "all" : fmt::format("{} differ", total - matched),
             note.empty() ? "" : ", " + note);
}

void print(const char* kind, const std::vector<replay::FollowDifference>& differences) {
  for (std::size_t i = 0; i < std::min(kShown, differences.size()); ++i) {
    const replay::FollowDifference& d = differences[i];
    fmt::print("\n{} different {} at {} in process {} (thread {}): {}\n  expected {}\n  got      {}\n", i == 0 ? "first" : "next", kind,
               analyze::time_text(static_cast<double>(d.time_ns)), d.pid, d.tid, d.what, d.expected, d.got);
  }
}

}  // namespace

nlohmann::ordered_json follow_json(const replay::Follow& f) {
  nlohmann::ordered_json out;
  out["possible"] = f.possible;
  if (!f.possible) {
    out["reason"] = f.reason;
    return out;
  }
  out["processes"] = f.processes;
  out["images"] = f.images;
  out["calls"] = {{"matched", f.calls_matched}, {"total", f.calls_total}, {"concurrent", f.calls_concurrent}};
  out["calls_not_modelled"] = nlohmann::ordered_json::object();
  for (const auto& [name, count] : f.calls_not_modelled) out["calls_not_modelled"][name] = count;
  out["anonymous_faults_differ"] = f.anonymous_faults_differ;
  out["anonymous_mappings_differ"] = f.anonymous_mappings_differ;
  out["faults"] = {{"matched", f.faults_matched}, {"total", f.faults_total}, {"concurrent", f.faults_concurrent}, {"judged", f.accesses_known}};
  out["minor_faults"] = {{"predicted", f.minor_predicted}, {"observed", f.minor_observed}};
  out["maps"] = {{"equal", f.maps_equal}, {"compared", f.maps_compared}};
  out["resident_bytes_of_mappings"] = {{"equal", f.mappings_equal}, {"compared", f.mappings_compared}, {"recorder", f.recorder_mappings}, {"judged", f.residency_known}, {"bytes", f.resident_bytes}, {"bytes_differ", f.resident_bytes_differ}};
  out["call_differences"] = to_json(f.call_differences);
  out["fault_differences"] = to_json(f.fault_differences);
  auto maps = nlohmann::ordered_json::array();
  for (const replay::MappingDifference& d : f.map_differences)
    maps.push_back({{"pid", d.pid}, {"name", d.name}, {"start", d.start}, {"end", d.end}, {"expected", d.expected}, {"got", d.got}});
  out["map_differences"] = maps;
  out["holds"] = f.holds();
  return out;
}

void print_follow(const replay::Follow& f) {
  if (!f.possible) {
    fmt::print("\nnot followed in the twin's kernel: {}\n", f.reason);
    return;
  }
  fmt::print("\nEvery memory call and fault of {} process{}, led through the twin's kernel\n\n", f.processes, f.processes == 1 ? "" : "es");
  fmt::print("{:<30} {:>14} {:>14}\n", "", "equal", "recorded");
  line("memory calls", f.calls_matched, f.calls_total, f.calls_concurrent ? fmt::format("{} placed as recorded (threads at once)", f.calls_concurrent) : "");
  for (const auto& [name, count] : f.calls_not_modelled) fmt::print("{:<30} {:>14} {:>14}   not compared: the twin does not know this call\n", name, "-", count);
  line("faults that are faults", f.faults_matched, f.faults_total,
       !f.accesses_known ? "not judged: reads or writes is not known" : f.faults_concurrent ? fmt::format("{} by two threads at once", f.faults_concurrent) : "");
  line("maps at start and exit", f.maps_equal, f.maps_compared);
  line("resident bytes per mapping", f.mappings_equal, f.mappings_compared, f.residency_known ? "" : "not judged: not every fault was recorded");
  print("call", f.call_differences);
  if (f.accesses_known) print("fault", f.fault_differences);
  const bool tell = f.residency_known || f.maps_equal != f.maps_compared;
  for (std::size_t i = 0; i < std::min(tell ? 2 * kShown : 0, f.map_differences.size()); ++i) {
    const replay::MappingDifference& d = f.map_differences[i];
    fmt::print("{}{:x}-{:x} {} of process {}: expected {}, got {}\n", i == 0 ? "\n" : "", d.start, d.end, d.name, d.pid, d.expected, d.got);
  }
}

}  // namespace faultline::cli
