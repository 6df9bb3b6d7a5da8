// Random heap programs: lists of operations made from a seed, in several styles.
#pragma once

#include <string>
#include <vector>

extern "C" {
#include "heap_wire.h"
}

namespace faultline::diff {

// From `threads` on there are several threads: all in the main arena, then in arenas of their own.
enum class Style {
  tiny, mixed, large, thresholds, storm, realloc_heavy, memalign_heavy, foreign_sbrk, refusals,
  threads, arenas, arena_storm, arena_refusals, count
};

const char* name_of(Style style);
std::vector<Op> make_trace(std::uint64_t seed, Style style, std::size_t op_count);
std::string describe(const Op& op);  // as a line of C

}  // namespace faultline::diff
