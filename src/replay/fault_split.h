// Recorded faults sorted by what they hit: the main heap, a chunk with a mapping of its own, a thread arena, or the rest.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "replay/program.h"
#include "trace/event.h"

namespace faultline::replay {

enum class FaultArea : std::uint8_t { heap, mmapped_chunk, thread_heap, rest, recorder };

// The mapping of one mmapped chunk, or one heap of a thread arena, while it lived. Page aligned.
struct ChunkSpan {
  std::uint64_t start = 0, end = 0;
  std::uint64_t birth_ns = 0;  // before malloc was called
  std::uint64_t death_ns = ~std::uint64_t{0};  // after free returned
  FaultArea area = FaultArea::mmapped_chunk;
};

struct AddressRange {
  std::uint64_t start = 0, end = 0;
  bool contains(std::uint64_t address) const { return start <= address && address < end; }
};

// One area per fault. spans may be in any order; faults by time.
std::vector<FaultArea> split_faults(std::span<const trace::FaultEvent> faults, std::vector<ChunkSpan> spans, AddressRange heap,
                                    std::span<const std::pair<std::uint64_t, std::uint64_t>> recorder_ranges);

}  // namespace faultline::replay
