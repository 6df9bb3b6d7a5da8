// Reclaim: page replacement of a machine: it knows every page by number, tells the policy what happens to them, and takes away
// those the policy names. Counterpart: shrink_folio_list(), pageout() and __remove_mapping() (mm/vmscan.c) below the policy,
// try_charge_memcg() (mm/memcontrol.c) above it, Linux 6.18.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "mm/backing/swap_writes.h"
#include "mm/phys/frame_observer.h"
#include "mm/phys/frame_table.h"
#include "mm/reclaim/memory_limit.h"
#include "mm/reclaim/policy.h"
#include "mm/virtual_clock.h"

namespace faultline::mm {

class FileObject;
class SwapSpace;

struct ReclaimConfig {
  std::uint64_t limit_pages = MemoryLimit::kNone;  // memory.limit_in_bytes, memory.max
  std::uint64_t charge_batch = 64;                 // MEMCG_CHARGE_BATCH
  std::string policy = "linux";                    // one of policies()
  PolicyConfig settings;                           // capacity and view are filled in
  // The kernel sums up a group's statistics so often (FLUSH_TIME, mm/memcontrol.c), and decides by the last sum; 0: they are always
  // right. The first time comes at random on a real machine.
  std::uint64_t statistics_period_ns = 2'000'000'000;
  std::uint64_t statistics_first_ns = 1'000'000'000;
  // What the processor spends, ns, as seen between tracepoints of vmscan; the device adds its own time.
  std::uint64_t look_ns = 400;    // at one page on a list
  std::uint64_t evict_ns = 2000;  // beside that: unmapping one, a slot, a request
};

struct ReclaimStatistics {
  std::uint64_t runs = 0;           // times the limit was hit
  std::uint64_t evicted = 0;        // pages that lost their frame (pgsteal)
  std::uint64_t looked_at = 0;      // pgscan
  std::uint64_t swapped_out = 0;    // written to swap (pswpout)
  std::uint64_t written_files = 0;  // dirty pages of files written
  std::uint64_t stalled_ns = 0;     // the process waited for room
  bool out_of_memory = false;       // the limit could not be held: the OOM killer
};

class Reclaim final : public FrameObserver, public PageView, public Evictor {
 public:
  // The policy must exist. swap: null where there is none.
  Reclaim(FrameTable& frames, ReverseMap& entries, SwapSpace* swap, VirtualClock& clock, const ReclaimConfig& config);

  const ReclaimStatistics& statistics() const { return statistics_; }
  const MemoryLimit& limit() const { return limit_; }
  Policy& policy() { return *policy_; }
  const PolicyDescriptor& descriptor() const { return descriptor_; }
  void on_access(Pfn pfn, const Moment& now);         // for policies that see every access
  void run_until(std::uint64_t now_ns);               // writes that are done by then
  void check_invariants() const;

  // --- FrameObserver ---
  bool charge(std::uint64_t pages) override;
  void on_taken(Pfn pfn) override;
  void on_freed(Pfn pfn) override;
  void on_split(Pfn pfn) override;
  void on_forgotten(std::uint32_t page) override;
  void on_marked_accessed(Pfn pfn) override;
  bool in_working_set(Pfn pfn) const override;
  void prefetch_returning(std::uint32_t page) const override;
  void on_read_begun() override { policy_->drain(); }
  // --- PageView ---
  bool test_and_clear_accessed(PageId page) override { return accessed_entries(page) > 0; }
  unsigned accessed_entries(PageId page) override;
  bool dirty(PageId page) const override;
  PageKind kind(PageId page) const override;
  std::uint64_t pages(PageId page) const override;
  bool locked(PageId page) const override { return entries_.locked(frame_of_[page]); }
  bool executable(PageId page) const override { return entries_.executable(frame_of_[page]); }
  void prefetch(std::span<const PageId> pages) const override;
  // --- Evictor ---
  Eviction evict(PageId page) override { return evict(page, true); }
  Eviction evict_now(PageId page) override { return evict(page, false); }
  bool writing(PageId page) const override { return frames_.at(frame_of_[page]).writing; }
  bool reading(PageId page) const override { return frames_.at(frame_of_[page]).reading; }
  bool claim_written(PageId page) override;
  void wait_written(PageId page) override;
  void plug() override;
  void unplug() override;
  void settle() override { run_until(clock_.now_ns()); }
  bool can_swap() const override;

 private:
  PageId page_of(Pfn pfn) const;  // of its folio
  Eviction evict(PageId page, bool waits);
  Eviction evict_file(Pfn pfn, bool waits);
  Eviction evict_anonymous(PageId page, Pfn pfn, bool waits);
  bool start_write(PageId page, Pfn pfn, bool waits);
  void finish(const SwapWrites::Write& write);
  void wait_for_next_write();
  PageId new_page();

  FrameTable& frames_;
  ReverseMap& entries_;
  SwapSpace* swap_;
  VirtualClock& clock_;
  ReclaimConfig config_;
  const PolicyDescriptor& descriptor_;
  MemoryLimit limit_;
  std::unique_ptr<Policy> policy_;
  std::vector<Pfn> frame_of_;        // by page; stale where the page is not resident
  std::vector<PageId> free_pages_;   // numbers nobody has
  ReclaimStatistics statistics_;
  std::uint64_t next_statistics_ns_ = 0;
  std::uint64_t time_ = 0;           // references and faults seen, for Moment
  bool evicting_ = false;
};

}  // namespace faultline::mm
