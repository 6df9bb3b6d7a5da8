// When mappings become one, and when one becomes several. Counterpart: mm/vma.c, vma_merge_new_range(),
// vma_merge_existing_range(), vma_modify_flags(), split_vma().
#include "base/assert.h"
#include "mm/space/address_space.h"
#include "mm/space/anon_vma.h"

namespace faultline::mm {

namespace {

bool same_kind(const Vma& a, const Vma& b) {
  return ((a.flags ^ b.flags) & ~kVmSticky) == 0 && (a.flags & kVmSpecial) == 0 && a.kind == b.kind && a.file == b.file &&
         a.backing == b.backing && a.tag == b.tag;
}
// Pages faulted in on both sides must belong to one anon_vma: a page's reverse mapping names it.
bool anon_vmas_agree(const AnonChain* a, const AnonChain* b) { return a == nullptr || b == nullptr || a->own == b->own; }

// is_mergeable_anon_vma(): a side without pages takes over the other's anon_vma, unless that one came through a fork.
bool may_share(const AnonChain* a, const AnonChain* b) {
  if (a != nullptr && b != nullptr) return a->own == b->own;
  const AnonChain* given = a != nullptr ? a : b;
  return given == nullptr || !given->inherited();
}

AnonChain* first_set(AnonChain* a, AnonChain* b, AnonChain* c = nullptr) {
  return a != nullptr ? a : (b != nullptr ? b : c);
}

}  // namespace

void AddressSpace::find_neighbours(MergeRequest& request) {
  Vma* below = vmas_.before(request.range.start);
  request.prev = below != nullptr && below->end == request.range.start ? below : nullptr;
  Vma* above = vmas_.find(request.range.end);
  request.next = above != nullptr && above->start == request.range.end ? above : nullptr;
}

bool AddressSpace::can_merge_left(const MergeRequest& request) const {
  const Vma* prev = request.prev;
  return prev != nullptr && same_kind(*prev, request.range) && may_share(prev->anon_vma, request.range.anon_vma) &&
         prev->pgoff + prev->pages() == request.range.pgoff;
}

bool AddressSpace::can_merge_right(const MergeRequest& request, bool left) const {
  const Vma* next = request.next;
  if (next == nullptr || !same_kind(*next, request.range)) return false;
  if (!may_share(next->anon_vma, request.range.anon_vma)) return false;
  if (request.range.pgoff + request.range.pages() != next->pgoff) return false;
  // Both neighbours may suit the range and yet not each other; then the left one is taken alone.
  return !left || anon_vmas_agree(request.prev->anon_vma, next->anon_vma);
}

Vma* AddressSpace::merge_new(MergeRequest request, bool only_expand) {
  find_neighbours(request);
  const bool left = can_merge_left(request);
  const bool right = !only_expand && can_merge_right(request, left);
  if (!left && !right) return nullptr;
  count_mapped(request.range, request.range.pages());
  if (left) {
    const std::uint64_t start = request.prev->start;
    std::uint64_t end = request.range.end;
    AnonChain* const next_chain = right ? request.next->anon_vma : nullptr;
    VmaTree::set_anon_vma(*request.prev, first_set(request.prev->anon_vma, request.range.anon_vma, next_chain));
    request.prev->flags |= (request.range.flags | (right ? request.next->flags : 0)) & kVmSticky;
    if (right) {
      end = request.next->end;
      vmas_.erase(request.next->start);
    }
    Vma* merged = vmas_.containing(start);
    vmas_.resize(*merged, start, end);
    return merged;
  }
  request.next->pgoff = request.range.pgoff;
  VmaTree::set_anon_vma(*request.next, first_set(request.next->anon_vma, request.range.anon_vma));
  request.next->flags |= request.range.flags & kVmSticky;
  vmas_.resize(*request.next, request.range.start, request.next->end);
  return request.next;
}

Vma& AddressSpace::add_mapping(const Vma& range, bool only_expand) {
  if (Vma* merged = merge_new(MergeRequest{.range = range}, only_expand)) return *merged;
  count_mapped(range, range.pages());
  return *vmas_.insert(range);
}

Result<void, Errno> AddressSpace::split(std::uint64_t at) {
  const Vma* vma = vmas_.containing(at);
  if (vma == nullptr || vma->start == at) return {};
  if (vmas_.size() >= profile_.max_map_count) return fail(Errno::nomem);
  split_anyway(at);
  return {};
}

void AddressSpace::split_anyway(std::uint64_t at) {
  Vma* vma = vmas_.containing(at);
  if (vma == nullptr || vma->start == at) return;
  split_huge_at(at, at);
  Vma upper = *vma;
  upper.start = at;
  upper.pgoff = vma->pgoff_at(at);
  vmas_.resize(*vma, vma->start, at);
  vmas_.insert(upper);
}

// Gives [start, end), which lies in one mapping, other flags: by growing a neighbour over it where that is possible,
// else by splitting.
Result<void, Errno> AddressSpace::modify(Vma& vma, std::uint64_t start, std::uint64_t end, VmFlags flags) {
  FL_ASSERT(vma.start <= start && start < end && end <= vma.end);
  split_huge_at(start, end);
  const bool at_start = start == vma.start;
  const bool at_end = end == vma.end;
  if (at_start || at_end) {
    MergeRequest request{.range = vma};
    request.range.start = start;
    request.range.end = end;
    request.range.pgoff = vma.pgoff_at(start);
    request.range.flags = flags;
    find_neighbours(request);
    if (!at_start) request.prev = nullptr;
    if (!at_end) request.next = nullptr;
    const bool left = can_merge_left(request);
    const bool right = can_merge_right(request, left);
    const Vma middle = vma;
    if (left) {
      const std::uint64_t prev_start = request.prev->start;
      AnonChain* const next_chain = right ? request.next->anon_vma : nullptr;
      VmaTree::set_anon_vma(*request.prev, first_set(request.prev->anon_vma, next_chain, middle.anon_vma));
      request.prev->flags |= (flags | (right ? request.next->flags : 0)) & kVmSticky;
      const std::uint64_t merged_end = right ? request.next->end : end;
      if (right) vmas_.erase(request.next->start);
      if (at_end) {
        vmas_.erase(middle.start);
      } else {
        Vma* rest = vmas_.containing(middle.start);
        rest->pgoff = middle.pgoff_at(end);
        vmas_.resize(*rest, end, middle.end);
      }
      Vma* merged = vmas_.containing(prev_start);
      vmas_.resize(*merged, prev_start, merged_end);
      return {};
    }
    if (right) {
      const std::uint64_t next_end = request.next->end;
      request.next->pgoff = request.range.pgoff;
      VmaTree::set_anon_vma(*request.next, first_set(request.next->anon_vma, middle.anon_vma));
      request.next->flags |= flags & kVmSticky;
      if (at_start) {
        vmas_.erase(middle.start);
      } else {
        vmas_.resize(vma, middle.start, start);
      }
      vmas_.resize(*vmas_.find(next_end - 1), start, next_end);
      return {};
    }
  }
  FL_CHECK(split(start));
  FL_CHECK(split(end));
  vmas_.containing(start)->flags = flags;
  return {};
}

}  // namespace faultline::mm
