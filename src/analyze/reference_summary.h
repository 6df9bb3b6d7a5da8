// What a reference stream holds, by reading all of it.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "trace/references/reference.h"

namespace faultline::analyze {

struct ReferenceSummary {
  static constexpr std::size_t kKinds = static_cast<std::size_t>(trace::ReferenceKind::move) + 1;
  struct Process {
    std::uint64_t touches = 0, distinct_pages = 0;
  };
  std::array<std::uint64_t, kKinds> by_kind{};
  std::uint64_t events = 0, touches = 0, distinct_pages = 0;  // a page of two processes is two
  std::uint64_t dropped = 0;                                  // touches the stream left out as repeats
  std::uint64_t file_read_pages = 0, file_write_pages = 0;
  std::vector<Process> processes;

  std::uint64_t count(trace::ReferenceKind kind) const { return by_kind[static_cast<std::size_t>(kind)]; }
};

// From the source's beginning. Memory grows with the distinct pages.
Result<ReferenceSummary> summarize(trace::ReferenceSource& source);

}  // namespace faultline::analyze
