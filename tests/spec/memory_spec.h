// What the specs of single calls share: short names for places, flags and advice.
#pragma once

#include <utility>
#include <vector>

#include "spec_test.h"

namespace faultline::spec {

inline constexpr std::uint64_t W = kWindow;
inline constexpr std::uint64_t kBig = 16384 * kPage;  // the 64 MiB of the oracle vectors
inline constexpr int kDontNeed = 4, kFree = 8, kHugePage = 14, kCold = 20, kPageOut = 21, kPopulateRead = 22, kPopulateWrite = 23,
                     kGuardInstall = 102, kGuardRemove = 103;
inline constexpr std::uint32_t kFixed = 0x32, kHint = 0x22, kNoReplace = 0x100022, kPopulate = 0x8032, kNoReserve = 0x4032;
inline constexpr std::uint32_t kMayMove = 1, kMoveFixed = 3;

class MemorySpec : public SpecTest {
 protected:
  std::size_t frames(std::uint64_t address, std::uint64_t bytes) { return pages_in(*process, address, bytes, 2); }
  std::vector<Mapping> maps() { return process->mappings(); }
};

}  // namespace faultline::spec
