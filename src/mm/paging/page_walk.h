// PageWalk: one translation shown step by step, root first, for people and for tests. It changes nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "mm/paging/page_table.h"

namespace faultline::mm {

struct WalkStep {
  int level = 0;            // 4 PGD, 3 PUD, 2 PMD, 1 PTE
  Pfn table;                // frame of the table that was read
  std::uint64_t index = 0;  // entry in it
  Pte entry;                // what it held
};

struct PageWalk {
  std::array<WalkStep, kLevels> steps{};
  int length = 0;           // steps taken: the walk ends at the first entry that is not present
  bool translated = false;  // the last level is present

  // "PGD[255] -> PUD[511] -> PMD[447] -> PTE[510] = frame 12 P W U A D NX"
  std::string to_string() const;
};

PageWalk walk(const PageTable& table, VirtAddr address);
std::string to_string(Pte entry);

}  // namespace faultline::mm
