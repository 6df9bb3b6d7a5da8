// A recording held against limits and against another recording: which figures are above what is allowed, and which call sites
// make the difference. Nothing is measured here: the same files give the same answer.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analyze/analysis.h"

namespace faultline::analyze {

enum class Figure : std::uint8_t { peak_rss, end_rss, minor_faults, major_faults, peak_live, end_live, allocations };
inline constexpr std::size_t kFigureCount = 7;
const char* figure_key(Figure figure);    // as in JSON and in options: peak_rss
const char* figure_title(Figure figure);  // "peak RSS"
bool figure_is_bytes(Figure figure);

struct Figures {
  std::array<std::optional<std::uint64_t>, kFigureCount> values;
  std::array<std::string, kFigureCount> why_not;  // one line where there is no value
  const std::optional<std::uint64_t>& at(Figure figure) const { return values[static_cast<std::size_t>(figure)]; }
};
Figures figures_of(const Analysis& analysis, const trace::Meta& meta, const trace::ProcessInfo& process);

// What a difference must exceed besides the tolerance to count: two runs of one program are never quite equal in what the kernel counts.
// Of what malloc counts the smallest difference is one.
std::uint64_t figure_noise(Figure figure);  // 256 KiB of RSS, 64 faults, else 0

struct Growth {
  std::string name;  // a site as text, or memory that is nobody's: "main stack"
  std::uint64_t before = 0, after = 0;
  std::uint64_t rise() const { return after > before ? after - before : 0; }
};

// Who has how much of a figure: of RSS and live bytes what malloc handed out and was live at the peak, or at the end; of faults who allocated the
// memory, or which memory it was. before: null for a limit alone, then all are as if there had been nothing. Most rise first, none
// without. Sites are the same by function, file and library: lines move when a program changes.
std::vector<Growth> growth_of(Figure figure, const Analysis* before, const Analysis& after);

}  // namespace faultline::analyze
