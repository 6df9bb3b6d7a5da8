// VmaTree against a plain sorted map: random inserts, erases, resizes, lookups and gap searches.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>

#include "mm/space/vma_tree.h"

namespace faultline::mm {
namespace {

using Model = std::map<std::uint64_t, Vma>;  // by start

std::optional<std::uint64_t> highest_gap(const Model& model, std::uint64_t length, std::uint64_t floor,
                                         std::uint64_t ceiling, std::uint64_t guard) {
  std::optional<std::uint64_t> best;
  std::uint64_t low = 0;
  const auto consider = [&](std::uint64_t high) {
    const std::uint64_t from = std::max(low, floor);
    const std::uint64_t to = std::min(high, ceiling);
    if (to > from && to - from >= length) best = to - length;
  };
  for (const auto& [start, vma] : model) {
    consider((vma.flags & kVmGrowsDown) != 0 ? start - std::min(start, guard) : start);
    low = vma.end;
  }
  consider(ceiling);
  return best;
}

TEST(VmaTree, EqualsASortedMap) {
  const char* text = std::getenv("FAULTLINE_SEED");
  const std::uint64_t seed = text != nullptr ? std::strtoull(text, nullptr, 10) : 20240601;
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  VmaTree tree;
  Model model;
  constexpr std::uint64_t pages = 6000;
  constexpr std::uint64_t guard = 4 * kPageSize;
  for (int step = 0; step < 60000; ++step) {
    const std::uint64_t at = random() % pages * kPageSize;
    const std::uint64_t length = (1 + random() % 3) * kPageSize;
    const auto above = model.upper_bound(at);
    const Vma* containing = nullptr;
    if (above != model.begin() && std::prev(above)->second.end > at) containing = &std::prev(above)->second;
    const Vma* found = tree.containing(at);
    ASSERT_EQ(found != nullptr, containing != nullptr);
    if (found != nullptr) {
      ASSERT_EQ(*found, *containing);
    }
    const Vma* next = tree.find(at);
    const Vma* wanted = containing != nullptr ? containing : (above != model.end() ? &above->second : nullptr);
    ASSERT_EQ(next != nullptr, wanted != nullptr);
    if (next != nullptr) {
      ASSERT_EQ(*next, *wanted);
    }
    const auto below = model.lower_bound(at);
    const Vma* before = tree.before(at);
    ASSERT_EQ(before != nullptr, below != model.begin());
    if (before != nullptr) {
      ASSERT_EQ(*before, std::prev(below)->second);
    }

    // Grows to a few thousand mappings, then shrinks again, twice.
    const bool grow = step / 15000 % 2 == 0;
    if (containing == nullptr && grow && !tree.overlaps(at, at + length)) {
      Vma vma;
      vma.start = at;
      vma.end = at + length;
      vma.flags = random() % 50 == 0 ? kVmGrowsDown : 0;
      model[at] = vma;
      tree.insert(vma);
    } else if (containing != nullptr && random() % (grow ? 8 : 2) == 0) {
      const std::uint64_t start = containing->start;
      if (containing->pages() > 1 && random() % 2 == 0) {
        Vma smaller = *containing;
        smaller.start += kPageSize;
        model.erase(start);
        model[smaller.start] = smaller;
        tree.resize(*tree.containing(at), smaller.start, smaller.end);
      } else {
        model.erase(start);
        tree.erase(start);
      }
    }
    ASSERT_EQ(tree.size(), model.size());
    if (step % 7 == 0) {
      const std::uint64_t floor = random() % pages * kPageSize;
      const std::uint64_t ceiling = random() % (pages + 50) * kPageSize;
      const std::uint64_t wanted_length = (1 + random() % 8) * kPageSize;
      ASSERT_EQ(tree.highest_gap(wanted_length, floor, ceiling, guard),
                highest_gap(model, wanted_length, floor, ceiling, guard))
          << "step " << step;
    }
    if (step % 500 == 0) tree.check_invariants();
  }
}

}  // namespace
}  // namespace faultline::mm
