// TouchModel: which bytes of a block the program touches, decided while a recording is loaded and without its fault
// events. README.md states the model and its limits.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "replay/program.h"
#include "trace/event.h"

namespace faultline::replay {

// Residency of whole anonymous mappings when the process ended, and when heap pages were last given back before that.
class ExitResidency {
 public:
  struct Run {
    std::uint64_t start = 0, end = 0;  // addresses, page aligned
    bool resident = false;
  };

  ExitResidency() = default;
  // observations: those with at_exit. calls: all of the process's; only brk, munmap and madvise(MADV_DONTNEED) are looked at.
  ExitResidency(std::span<const trace::TouchObservation> observations, std::span<const trace::MemoryCall> calls,
                bool calls_exact, std::uint64_t initial_brk);

  bool empty() const { return runs_.empty(); }
  const std::vector<Run>& runs() const { return runs_; }  // by address, no overlap
  std::uint64_t resident_pages(std::uint64_t start, std::uint64_t end) const;
  // A heap page in a run that is not resident now was never touched since this time (~0: cannot be said).
  std::uint64_t untouched_since(std::uint64_t page) const;

 private:
  struct Release {
    std::uint64_t start = 0, end = 0, time_ns = 0;
  };
  std::vector<Run> runs_;
  std::vector<Release> releases_;
  bool releases_known_ = false;
};

class TouchModel {
 public:
  struct Block {
    std::uint32_t event = 0;      // its allocation
    std::uint64_t address = 0, size = 0;
    std::uint64_t kept = 0;       // realloc: bytes carried over from the old block, not written by the program
    std::uint64_t birth_ns = 0;
    trace::StackId stack = 0;
    bool mmapped = false;
    bool zeroed = false;          // calloc: the program need not write it
    std::uint32_t known = kNoSlot;  // born on heap pages that were resident before: from note_known()
  };

  // Parts of a block (offsets) that were resident before it was born; the result goes to Block::known.
  std::uint32_t note_known(std::vector<Extent> known);

  // The block goes; observation is what the recorder saw just before, or nullptr.
  // Returns what was resident, as offsets (the whole block if nothing was seen).
  std::vector<Extent> died(const Block& block, const trace::TouchObservation* observation);
  void alive_at_end(const Block& block, const ExitResidency& residency);

  // Decides the blocks nothing was seen of and writes flags, touch lists and extents of `program`.
  void finish(Program& program, const ExitResidency& residency);

 private:
  struct Learned {
    std::uint64_t touched = 0, bytes = 0;
  };
  struct Decided {
    std::uint32_t event = 0;
    std::uint32_t first = 0, count = 0;  // in pool_
  };
  struct Ambiguous {
    Block block;
    std::vector<Extent> resident;  // when it went; part of it was before the block was born
  };
  std::vector<Block> open_;        // >= one page and not observed
  std::vector<Ambiguous> ambiguous_;
  std::vector<std::vector<Extent>> known_;
  std::vector<Decided> decided_;
  std::vector<Extent> pool_;
  std::map<std::pair<trace::StackId, unsigned>, Learned> by_site_;  // call site and size class
  std::map<std::uint64_t, Learned> by_size_;  // blocks of one size, whatever the site: pools and buffers share theirs

  void decide(const Block& block, std::span<const Extent> touched);
  void learn(const Block& block, std::span<const Extent> touched);
  // Bytes from the block's start that its site, or else blocks of its size, were seen to touch; nothing if neither was.
  std::optional<std::uint64_t> learned_bytes(const Block& block) const;
  void settle(const Ambiguous& ambiguous);
};

}  // namespace faultline::replay
