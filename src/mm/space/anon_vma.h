// AnonVma: what mappings with anonymous pages share, so that a page finds everyone who may map it; AnonChain: the
// AnonVmas one mapping hangs on. Counterpart: struct anon_vma and the vma's anon_vma_chain list (include/linux/rmap.h,
// mm/rmap.c: anon_vma_clone(), anon_vma_fork(), unlink_anon_vmas()).
//
// The twin finds the users of a frame through the frame itself (phys/frame_table.h). AnonVmas are kept for what they
// decide: which neighbours may become one mapping, above all after fork, where each side's mapping gets an AnonVma of
// its own and keeps hanging on its parents'.
#pragma once

#include <cstdint>
#include <vector>

namespace faultline::mm {

struct AnonVma {
  AnonVma* parent = nullptr;     // the forking mapping's; a root is its own parent
  std::uint32_t children = 0;    // AnonVmas whose parent this is, a root itself included
  std::uint64_t mappings = 0;    // mappings that take new pages from this one (num_active_vmas)
  std::uint64_t chains = 0;      // AnonChains it is on
};

// Immutable and shared by the mappings of one address space that were split from one another.
struct AnonChain {
  AnonVma* own = nullptr;        // new pages belong to it
  std::vector<AnonVma*> all;     // the root first, own among them
  std::uint64_t users = 0;       // mappings

  // A mapping that was forked hangs on its parents' AnonVmas too; such mappings join no neighbour that has none or
  // another one (vma_had_uncowed_parents()).
  bool inherited() const { return all.size() > 1; }
};

AnonChain* new_anon_chain();                      // no user yet
AnonChain* fork_anon_chain(const AnonChain& of);  // the child's chain, no user yet; may reuse an ancestor nobody uses
void acquire(AnonChain* chain);                   // one mapping more; null is allowed
void release(AnonChain* chain);                   // one less; the last one frees it; null is allowed

}  // namespace faultline::mm
