// The twin's mappings and their resident bytes against /proc/PID/smaps of the recorded process.
#pragma once

#include <span>
#include <vector>

#include "mm/space/address_space.h"
#include "replay/follow/follow.h"
#include "replay/smaps.h"

namespace faultline::replay {

struct MapsCheck {
  bool equal = true;  // addresses, rights, file offsets
  std::uint64_t mappings = 0, resident_equal = 0, recorder = 0;
  std::uint64_t anonymous_differ = 0;  // of the unequal ones: private anonymous memory
  std::uint64_t resident_bytes = 0, resident_bytes_differ = 0;  // of all compared; how far files are off, summed
  std::vector<MappingDifference> differences;
};

// recorder_ranges: mappings of the recorder, whose pages the recorder's own work touches while it tells; their resident bytes are not compared.
MapsCheck check_maps(const mm::AddressSpace& space, std::span<const Mapping> recorded,
                     std::span<const std::pair<std::uint64_t, std::uint64_t>> recorder_ranges);

}  // namespace faultline::replay
