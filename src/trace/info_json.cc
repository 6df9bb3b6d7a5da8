// ProcessInfo and Meta as the JSON of their blocks. Fields that are empty or zero are left out.
#include <nlohmann/json.hpp>

#include "trace/process_text.h"

namespace faultline::trace {

using nlohmann::json;

namespace {

constexpr auto kReplace = json::error_handler_t::replace;  // a path may be any bytes; JSON may not

template <typename T>
void put(json& out, const char* key, const T& value) {
  if (value != T{}) out[key] = value;
}

bool matches(const json& value, const std::string*) { return value.is_string(); }
bool matches(const json& value, const bool*) { return value.is_boolean(); }
bool matches(const json& value, const double*) { return value.is_number(); }
bool matches(const json& value, const std::pair<std::uint64_t, std::uint64_t>*) {
  return value.is_array() && value.size() == 2 && value[0].is_number_unsigned() && value[1].is_number_unsigned();
}
template <typename T>
bool matches(const json& value, const std::vector<T>*) {
  if (!value.is_array()) return false;
  for (const json& entry : value) {
    if (!matches(entry, static_cast<const T*>(nullptr))) return false;
  }
  return true;
}
template <typename T>
  requires std::is_integral_v<T>
bool matches(const json& value, const T*) {
  return std::is_signed_v<T> ? value.is_number_integer() : value.is_number_unsigned();
}

// A value of another type than expected is ignored: the file may be anybody's.
template <typename T>
void get(const json& in, const char* key, T& value) {
  const auto found = in.find(key);
  if (found != in.end() && matches(*found, static_cast<const T*>(nullptr))) value = found->template get<T>();
}

// One list of fields for both directions.
template <typename Process, typename Visit>
void process_fields(Process& p, Visit&& visit) {
  visit("pid", p.pid);
  visit("parent", p.parent);
  visit("forked_without_exec", p.forked_without_exec);
  visit("is_main", p.is_main);
  visit("exe", p.exe);
  visit("command", p.command);
  visit("earlier_images", p.earlier_images);
  visit("start_ns", p.start_ns);
  visit("end_ns", p.end_ns);
  visit("allocator", p.allocator);
  visit("allocator_build_id", p.allocator_build_id);
  visit("glibc_version", p.glibc_version);
  visit("initial_brk", p.initial_brk);
  visit("tunables", p.tunables);
  visit("environment", p.environment);
  visit("thp_mode", p.thp_mode);
  visit("cpus_online", p.cpus_online);
  visit("exit_seen", p.exit_seen);
  visit("wait_status", p.wait_status);
  visit("arg_start", p.arg_start);
  visit("rss_peak_bytes", p.rss_peak_bytes);
  visit("rss_end_bytes", p.rss_end_bytes);
  visit("recorder_rss_bytes", p.recorder_rss_bytes);
  visit("minor_faults", p.minor_faults);
  visit("major_faults", p.major_faults);
  visit("recorder_faults", p.recorder_faults);
  visit("earlier_recorder_faults", p.earlier_recorder_faults);
  visit("unattributed_minor", p.unattributed_minor);
  visit("unattributed_major", p.unattributed_major);
  visit("lost_fault_records", p.lost_fault_records);
  visit("lost_call_records", p.lost_call_records);
  visit("lost_task_records", p.lost_task_records);
  visit("lost_heap_events", p.lost_heap_events);
  visit("lost_turns", p.lost_turns);
  visit("recorder_ranges", p.recorder_ranges);
}

template <typename M, typename Visit>
void meta_fields(M& m, Visit&& visit) {
  visit("tool_version", m.tool_version);
  visit("command", m.command);
  visit("kernel_release", m.kernel_release);
  visit("machine", m.machine);
  visit("faults_recorded", m.faults_recorded);
  visit("kernel_mode_faults", m.kernel_mode_faults);
  visit("calls_exact", m.calls_exact);
  visit("calls_by", m.calls_by);
  visit("fault_access", m.fault_access);
  visit("mappings_recorded", m.mappings_recorded);
  visit("turns", m.turns);
  visit("missing", m.missing);
  visit("wall_ns", m.wall_ns);
  visit("user_ns", m.user_ns);
  visit("system_ns", m.system_ns);
  visit("clock_zero_ns", m.clock_zero_ns);
  visit("memory_limit_bytes", m.memory_limit_bytes);
  visit("cost_minor_fault_ns", m.costs.minor_fault_ns);
  visit("cost_brk_ns", m.costs.brk_ns);
  visit("cost_mmap_ns", m.costs.mmap_ns);
  visit("cost_munmap_ns", m.costs.munmap_ns);
  visit("cost_munmap_page_ns", m.costs.munmap_page_ns);
  visit("cost_madvise_ns", m.costs.madvise_ns);
  visit("cost_mremap_ns", m.costs.mremap_ns);
  visit("cost_malloc_free_pair_ns", m.costs.malloc_free_pair_ns);
}

}  // namespace

std::string to_json(const ProcessInfo& process) {
  json out = json::object();
  process_fields(process, [&](const char* key, const auto& value) { put(out, key, value); });
  return out.dump(-1, ' ', false, kReplace);
}

std::string to_json(const Meta& meta) {
  json out = json::object();
  meta_fields(meta, [&](const char* key, const auto& value) { put(out, key, value); });
  return out.dump(-1, ' ', false, kReplace);
}

bool apply_json(std::string_view text, ProcessInfo& process) {
  const json in = json::parse(text, nullptr, false);
  if (!in.is_object()) return false;
  process_fields(process, [&](const char* key, auto& value) { get(in, key, value); });
  return true;
}

bool apply_json(std::string_view text, Meta& meta) {
  const json in = json::parse(text, nullptr, false);
  if (!in.is_object()) return false;
  meta_fields(meta, [&](const char* key, auto& value) { get(in, key, value); });
  return true;
}

}  // namespace faultline::trace
