#include "analyze/search_text.h"

#include <fmt/format.h>

#include <cmath>

namespace faultline::analyze {

std::string bytes_text(std::uint64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= std::uint64_t{1} << 30) return fmt::format("{:.2f} GiB", value / (1 << 30));
  if (bytes >= std::uint64_t{1} << 20) return fmt::format("{:.1f} MiB", value / (1 << 20));
  if (bytes >= 1024) return fmt::format("{:.0f} KiB", value / 1024);
  return fmt::format("{} B", bytes);
}

std::string time_text(double ns) {
  const double size = std::abs(ns);
  if (size >= 1e9) return fmt::format("{:.2f} s", ns / 1e9);
  if (size >= 1e6) return fmt::format("{:.2f} ms", ns / 1e6);
  return fmt::format("{:.1f} µs", ns / 1e3);
}

std::string calls_text(const replay::CallCounts& calls) {
  std::string text;
  auto add = [&](const char* name, std::uint64_t count) {
    if (count) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count);
  };
  add("brk", calls.brk);
  add("mmap", calls.mmap);
  add("munmap", calls.munmap);
  add("mremap", calls.mremap);
  add("madvise", calls.madvise);
  add("mprotect", calls.mprotect);
  return text.empty() ? "none" : text;
}

std::string error_bar_text(const replay::Verification& v) {
  auto part = [](const std::optional<double>& error) { return error ? fmt::format("±{:.1f} %", 100 * *error) : std::string("unknown"); };
  return fmt::format("faults {}, peak RSS {}", part(v.fault_error()), part(v.rss_error()));
}

std::string difference_text(const replay::Prediction& before, const replay::Prediction& after) {
  const bool same = before.minor_faults() == after.minor_faults() && before.calls.total() == after.calls.total() && before.rss_peak_bytes == after.rss_peak_bytes && before.rss_end_bytes == after.rss_end_bytes;
  if (same) return "no difference in this run";
  const double saved = before.cost_ns - after.cost_ns;
  return fmt::format("minor faults {} -> {}, calls {} -> {}, peak RSS {} -> {}, RSS at exit {} -> {}: {} {}", before.minor_faults(), after.minor_faults(), before.calls.total(), after.calls.total(),
                     bytes_text(before.rss_peak_bytes), bytes_text(after.rss_peak_bytes), bytes_text(before.rss_end_bytes), bytes_text(after.rss_end_bytes), time_text(std::abs(saved)),
                     saved >= 0 ? "saved" : "lost");
}

std::string arena_estimate_text() {
  return "an estimate: which thread gets which arena follows glibc's rules with every lock free; in a run it depends on which are held";
}

std::string unseen_text(const replay::Prediction& p) {
  if (p.unseen_minor == 0) return {};
  return fmt::format("; {} of the faults are on pages whose use the recording does not show: judged by other blocks, ±{:.0f} faults", p.unseen_minor, p.unseen_error);
}

}  // namespace faultline::analyze
