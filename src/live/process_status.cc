#include "live/process_status.h"

#include "live/kib_line.h"

namespace faultline::live {

std::optional<ProcessStatus> parse_status(std::string_view text) {
  struct Field {
    std::string_view name;
    std::uint64_t ProcessStatus::*value;
  };
  static constexpr Field kFields[] = {
      {"VmSize", &ProcessStatus::virtual_bytes},     {"VmLck", &ProcessStatus::locked_bytes}, {"VmHWM", &ProcessStatus::rss_peak_bytes},
      {"VmRSS", &ProcessStatus::rss_bytes},          {"RssAnon", &ProcessStatus::anonymous_bytes},
      {"RssFile", &ProcessStatus::file_bytes},       {"RssShmem", &ProcessStatus::shmem_bytes},
      {"VmPTE", &ProcessStatus::page_table_bytes},   {"VmSwap", &ProcessStatus::swapped_bytes}};
  ProcessStatus status;
  bool any = false;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (line.empty() || (line[0] != 'V' && line[0] != 'R')) continue;
    for (const Field& field : kFields) {
      if (const auto bytes = kib_of(line, field.name)) {
        status.*field.value = *bytes;
        any = true;
      }
    }
  }
  if (!any) return std::nullopt;
  return status;
}

}  // namespace faultline::live
