// FaultTouches: which pages of the larger blocks the program touched, when, and whether it read before it wrote, as the
// recorded faults tell. A fault is the first access to a page; a page that was resident before the block was born tells
// nothing and is judged by what is usual for the block's call site, else for its size. README.md states model and limits.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <unordered_map>
#include <vector>

#include "replay/block_contents.h"
#include "replay/block_profiles.h"
#include "replay/heap_pages.h"
#include "replay/program.h"
#include "replay/site_touches.h"
#include "trace/event.h"

namespace faultline::replay {

inline constexpr std::uint64_t kFollowedBytes = kPageSize;  // blocks from this size on are followed page by page

class FaultTouches {
 public:
  struct Block {
    std::uint32_t birth = 0;                  // event
    std::uint32_t slot = 0;
    std::uint64_t address = 0, size = 0;
    std::uint64_t kept = 0;                   // realloc: carried over from the old block
    std::uint64_t birth_ns = 0, born_ns = 0;  // malloc was called, returned
    trace::StackId stack = 0;
    bool mmapped = false, zeroed = false;
  };

  // faults and calls: of the process, by time. complete: every call is there, and each fault is of one small page; else
  // nothing is followed, as where there are no faults.
  FaultTouches(const Program& program, std::span<const trace::FaultEvent> faults, std::span<const trace::MemoryCall> calls, bool complete,
               std::uint64_t initial_brk);

  // The recording says of some blocks what was changed in them.
  void contents_are_known() { compared_ = true; }

  // Blocks of at least kFollowedBytes in an arena or in a mapping of their own, in the order of the program's
  // life. event: the one that ends it. contents: what the recorder found changed then, or nullptr.
  void born(const Block& block);
  void died(std::uint64_t address, std::uint32_t event, std::uint64_t time_ns, const trace::TouchObservation* contents);

  // Writes timed_blocks and timed_touches: all blocks still there are alive at the end. observations: of all the run, those
  // of contents at the end are looked at.
  void finish(Program& program, std::span<const trace::TouchObservation> observations);

 private:
  enum class Page : std::uint8_t { fresh, unknown, read, read_written, written };
  struct Touch {
    std::uint32_t page = 0;    // of the block, counted from the page its first byte lies in
    std::uint32_t offset = 0;  // in the page, of the first access
    std::uint64_t time_ns = 0;
    bool write = true;
  };
  struct Live {
    Block block;
    std::vector<Page> pages;
    std::vector<bool> of_same_site;  // the page was last a block's of the same site
    std::vector<Touch> touches;  // by time
  };
  // What is known of a stretch of a block whose first touches could not be seen. Decided when all sites are known.
  // zeroes: it held zeroes and holds zeroes.
  enum class Use : std::uint8_t { unknown, written, not_written, zeroes, same };
  struct Undecided {
    std::uint32_t birth = 0, slot = 0;
    trace::StackId stack = 0;
    std::uint64_t size = 0, begin = 0, end = 0;
    Use use = Use::unknown;
    bool zeroed = false;
  };

  const Program& program_;
  std::span<const trace::FaultEvent> faults_;
  std::span<const trace::MemoryCall> calls_;
  std::uint64_t break_ = 0;
  bool followed_ = false, compared_ = false;
  std::size_t next_fault_ = 0, next_call_ = 0;
  HeapPages resident_;                  // of all that is no mapped chunk
  struct RecentSites {
    std::array<trace::StackId, 4> sites{~trace::StackId{0}, ~trace::StackId{0}, ~trace::StackId{0}, ~trace::StackId{0}};  // the last one first
  };
  std::unordered_map<std::uint64_t, RecentSites> recent_sites_;  // by page: of the followed blocks that were there last
  std::map<trace::StackId, std::pair<std::uint32_t, std::uint32_t>> clearing_;  // by site: pages that were cleared, and that were not
  std::map<std::uint64_t, Live> live_;  // by address
  std::vector<std::uint32_t> blocks_;   // births of all followed blocks
  std::vector<Undecided> undecided_;
  std::vector<TimedTouch> out_;
  SiteTouches sites_;
  BlockProfiles profiles_;

  void advance(std::uint64_t time_ns);
  void meet(const trace::FaultEvent& fault);
  void note(Live& live, const trace::FaultEvent& fault);
  void apply(const trace::MemoryCall& call);
  void leave(const Live& live, std::uint32_t last_event, const BlockContents& contents);
  void leave_undecided(const Undecided& rest);
  void append(const TimedTouch& touch);
  void append_all(const Undecided& stretch, std::span<const Extent> parts, bool write, Ground ground);
  bool looked_at(const Undecided& stretch) const;
  bool clears(trace::StackId site) const;
  void decide();
  void decide_alike(const Undecided& stretch, const BlockProfile& profile, Ground ground);
  void decide_by_use(const Undecided& stretch);
  std::uint32_t event_at(std::uint64_t time_ns, std::uint32_t from, std::uint32_t to) const;
};

}  // namespace faultline::replay
