// Simulation: one policy with a number of frames, driven by a plain reference stream: no page tables, no read-ahead, no batches, every
// miss brings in its page alone. Policies see what their descriptor says and no more: accessed bits are a byte a page here, set without
// a call to the policy, and clear after the reference that brought the page in.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "analyze/curves/next_uses.h"
#include "analyze/curves/page_stream.h"
#include "mm/reclaim/policy.h"

namespace faultline::analyze {

struct SimulationCounts {
  std::uint64_t references = 0;
  std::uint64_t misses = 0;           // each is a fault
  std::uint64_t cold_misses = 0;      // of them, of pages without contents: the first reference, or the first after it was taken away
  std::uint64_t evictions = 0;        // pages replaced, and pages let go although there was room
  std::uint64_t dirty_evictions = 0;  // of them, written since they came in
  std::uint64_t freed = 0;            // resident pages taken away by the program
  std::uint64_t most_resident = 0;
  std::uint64_t memory_time = 0;  // sum over references of the pages resident after each: divided by references, the mean size

  double miss_ratio() const { return references == 0 ? 0 : static_cast<double>(misses) / static_cast<double>(references); }
  bool operator==(const SimulationCounts&) const = default;
};

class Simulation final : private mm::PageView {
 public:
  // config.capacity frames, at least one; config.view is set here.
  Simulation(const mm::PolicyDescriptor& descriptor, mm::PolicyConfig config);
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // The next events of the stream, whose page numbers are below `pages`. next_uses: of the whole stream, for policies that see the
  // future; else null.
  void feed(const PageBatch& batch, mm::PageId pages, const std::uint32_t* next_uses);
  const SimulationCounts& counts() const { return counts_; }
  bool resident(mm::PageId page) const { return page < states_.size() && (states_[page] & kResident) != 0; }
  void check_invariants() const;

 private:
  static constexpr std::uint8_t kResident = 1, kAccessed = 2, kDirty = 4, kSeen = 8;

  template <mm::Sees sees, bool variable>
  void run(const PageBatch& batch, const std::uint32_t* next_uses);
  void miss(mm::PageId page, const mm::Moment& now);
  void leave(mm::PageId page);
  void take_away(mm::PageId page);

  bool test_and_clear_accessed(mm::PageId page) override {
    const bool accessed = (states_[page] & kAccessed) != 0;
    states_[page] &= static_cast<std::uint8_t>(~kAccessed);
    return accessed;
  }
  bool dirty(mm::PageId page) const override { return (states_[page] & kDirty) != 0; }
  mm::PageKind kind(mm::PageId) const override { return mm::PageKind::anonymous; }
  void prefetch(std::span<const mm::PageId> pages) const override {
    for (const mm::PageId page : pages) __builtin_prefetch(&states_[page], 1);
  }

  const mm::PolicyDescriptor* descriptor_;
  std::uint64_t capacity_;
  std::uint64_t resident_ = 0;
  std::pmr::vector<std::uint8_t> states_{huge_memory()};
  std::unique_ptr<mm::Policy> policy_;
  SimulationCounts counts_;
};

// The whole stream, from where it is, under each capacity: one pass (two for policies that see the future), one answer a capacity.
Result<std::vector<SimulationCounts>> simulate(const mm::PolicyDescriptor& descriptor, PageStream& stream, std::span<const std::uint64_t> capacities,
                                               const mm::PolicyConfig& config = {});
Result<SimulationCounts> simulate(const mm::PolicyDescriptor& descriptor, PageStream& stream, const mm::PolicyConfig& config);

}  // namespace faultline::analyze
