// Policy: which resident page goes when a frame is needed. The one seam of page replacement: the full twin (machine/) and the
// simulation of a plain reference stream (analyze/curves) drive the same objects. A policy owns no frame and does no I/O; it is
// told what happens and answers with a page. Counterpart: mm/vmscan.c, or the paper each file names.
#pragma once

#include <cstdint>
#include <memory>
#include <memory_resource>
#include <optional>
#include <span>

#include "base/registry.h"

namespace faultline::mm {

// One logical page for as long as its contents exist, resident or not: a refault has the number the eviction had, which is what
// ghost lists and shadow entries know a page by. Dense from 0, so that policies keep their state in arrays.
using PageId = std::uint32_t;
inline constexpr PageId kNoPage = ~PageId{0};

// What a policy may see. Only the first two exist in a kernel: a policy that sees more is a yardstick, not a proposal.
enum class Sees : std::uint8_t {
  fault_only,    // insertions and removals
  accessed_bit,  // and the accessed bits, when it asks for one
  every_access,  // every reference, as it happens
  future,        // every reference, and when the page is referenced next
};

inline constexpr std::uint64_t kNever = ~std::uint64_t{0};

// One reference. time counts the references of the stream from 0; next_use is the time of the page's next reference, kNever
// without one, and is filled in only for a policy that sees the future.
struct Moment {
  std::uint64_t time = 0;
  std::uint64_t next_use = kNever;
  bool write = false;
};

enum class PageKind : std::uint8_t { anonymous, file };
enum class Removal : std::uint8_t {
  evicted,  // replaced: its contents are in swap or in its file, and it may come back under the same number
  freed,    // unmapped, truncated, discarded: the number may be given to another page
};

// What a policy may ask of resident pages: the owner of the page tables answers. Whether the reference that brought a page in
// leaves its bit set is the owner's: the simulation of a plain stream leaves it clear, as papers and cache simulators do, while
// Linux maps a page young.
class PageView {
 public:
  virtual ~PageView() = default;
  virtual bool test_and_clear_accessed(PageId page) = 0;  // of all entries that map it; folio_referenced()
  virtual bool dirty(PageId page) const = 0;
  virtual PageKind kind(PageId page) const = 0;
  virtual std::uint64_t pages(PageId) const { return 1; }  // of the folio it stands for
  // The number of entries with the bit, cleared; what the kernel's own policies look at.
  virtual unsigned accessed_entries(PageId page) { return test_and_clear_accessed(page) ? 1 : 0; }
  virtual bool locked(PageId) const { return false; }      // mlocked: never a victim
  virtual bool executable(PageId) const { return false; }  // mapped by code
  // These will be asked about next: what is known of them may be pulled into the processor's cache. It changes nothing.
  virtual void prefetch(std::span<const PageId>) const {}
};

enum class Eviction : std::uint8_t {
  freed,
  writing,  // its contents are on their way to the device; the frame is free when that is done and it is evicted again
  kept,     // locked, held by somebody, or there is no swap slot
};

// Who takes pages away when a policy says so.
class Evictor {
 public:
  virtual ~Evictor() = default;
  virtual Eviction evict(PageId page) = 0;
  // The same for a page that must go at once: a write is accounted, and nobody waits for it. Freed or kept.
  virtual Eviction evict_now(PageId page) = 0;
  virtual bool writing(PageId page) const = 0;
  virtual bool reading(PageId) const { return false; }  // its contents are not there yet: it is locked
  // It is to be freed once it is written (PG_reclaim); a fault that met it meanwhile took that away, and being told sets it again.
  virtual bool claim_written(PageId) { return true; }
  virtual void wait_written(PageId page) = 0;  // time goes by until it is
  // Writes in between are handed to the device together: blk_start_plug(), blk_finish_plug().
  virtual void plug() {}
  virtual void unplug() {}
  virtual void settle() {}                     // reports (on_written) what the device has done by now
  virtual bool can_swap() const = 0;           // a slot is left
};

struct PolicyConfig {
  std::uint64_t capacity = 0;  // frames
  std::uint64_t pages = 0;     // ids expected: arrays of that size are made at once; more may come
  std::uint64_t seed = 1;      // of policies that draw lots
  std::uint64_t window = 0;    // references: tau of the working set, the interval of PFF; 0: the policy's own choice
  unsigned bits = 1;           // of CLOCK's counters
  // Where a paper leaves a ratio open, or others chose another one. 0: what the policy's file says.
  double share = 0;       // of capacity, for newcomers: 2Q's A1in, S3-FIFO's small queue, SLRU's probation, HIR pages of LIRS
  double ghosts = 0;      // of capacity, for pages remembered after their eviction
  unsigned segments = 0;  // of SLRU: 0 for the paper's two, else that many of equal size
  PageView* view = nullptr;    // outlives the policy
  std::pmr::memory_resource* memory = nullptr;  // for arrays over pages (huge pages halve their cost); null: the default one
  unsigned swappiness = 60;    // sysctl vm.swappiness, memory.swappiness
  bool stale_statistics = false;  // on_statistics() says when the policy's own counts may be looked at; else they always may
  bool group_waits = true;     // reclaim waits for pages being written (memory cgroups of version 1)

  // A share of the frames, rounded down.
  std::uint64_t part(double ratio) const { return static_cast<std::uint64_t>(static_cast<double>(capacity) * ratio); }
};

class Policy {
 public:
  virtual ~Policy() = default;

  // The page is referenced and not resident. Called before victims are picked for it: policies with ghosts adapt here.
  virtual void on_miss(PageId, const Moment&) {}
  // It is resident now.
  virtual void on_insert(PageId page, const Moment& now) = 0;
  // A reference to a resident page; only for policies that see every access or the future.
  virtual void on_access(PageId, const Moment&) {}
  // A page that is no longer resident; for one this policy picked, right after it was picked.
  virtual void on_remove(PageId page, Removal why) = 0;
  // A page that is not resident ceased to exist (unmapped while in swap): its number may be given to another page.
  virtual void on_forget(PageId) {}
  // The page to evict next. Asked only while a page is resident; the page stays resident until on_remove.
  virtual PageId pick_victim() = 0;
  // Frees `pages` frames, or as many as there are; returns how many. Here one victim after the other; kernels work in batches.
  virtual std::uint64_t reclaim(std::uint64_t pages, Evictor& evictor);
  // A page evicted with the answer `writing` is on the device now (folio_end_writeback()).
  virtual void on_written(PageId) {}
  // The statistics of the group are brought up to date.
  virtual void on_statistics() {}
  // read(2) or write(2) touched it, or a process that had accessed it unmapped it: folio_mark_accessed().
  virtual void on_mark_accessed(PageId) {}
  // lru_add_drain(): pages that were inserted and not yet put on a list.
  virtual void drain() {}
  // folio_test_workingset(): it was active before it went, or before it grew old.
  virtual bool in_working_set(PageId) const { return false; }
  // Policies of variable size (working set, PFF): a page that leaves although there is room. Asked after each reference until
  // there is none.
  virtual std::optional<PageId> pick_idle(const Moment&) { return std::nullopt; }
  // These are about to be referenced, in this order: a policy may pull what it keeps about them into the processor's cache.
  // It changes nothing.
  virtual void prefetch(std::span<const PageId>) const {}
  virtual void check_invariants() const {}
};

struct PolicyDescriptor {
  const char* name;
  Sees sees;
  const char* source;  // paper or kernel file
  std::unique_ptr<Policy> (*create)(const PolicyConfig& config);
  bool variable_size = false;  // its resident set follows the program: capacity is only an upper bound
};

// Null where no policy has that name.
const PolicyDescriptor* find_policy(std::string_view name);
std::span<const PolicyDescriptor> policies();  // sorted by name

// Each file of policies/ ends with one.
#define FL_REGISTER_POLICY(...) const ::faultline::Registration<::faultline::mm::PolicyDescriptor> registration{{__VA_ARGS__}}

}  // namespace faultline::mm
