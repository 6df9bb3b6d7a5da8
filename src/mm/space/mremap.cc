// mremap(2). Counterpart: do_mremap() and the functions below it (mm/mremap.c, Linux 6.18).
#include <algorithm>

#include "base/assert.h"
#include "mm/space/address_space.h"

namespace faultline::mm {

namespace {
bool names_a_place(const MremapArguments& arguments) { return (arguments.flags & (kRemapFixed | kRemapDontUnmap)) != 0; }
}  // namespace

Result<VirtAddr, Errno> AddressSpace::mremap(const MremapArguments& given) {
  MremapArguments arguments = given;
  arguments.old_length = ByteCount(page_ceil(given.old_length.value));
  arguments.new_length = ByteCount(page_ceil(given.new_length.value));
  const std::uint64_t old_length = arguments.old_length.value;
  const std::uint64_t new_length = arguments.new_length.value;
  const std::uint64_t from = arguments.address.value;
  const std::uint64_t to = arguments.new_address.value;
  const RemapFlags flags = arguments.flags;

  // check_mremap_params()
  if ((flags & ~(kRemapMayMove | kRemapFixed | kRemapDontUnmap)) != 0) return fail(Errno::inval);
  if (!arguments.address.page_aligned() || new_length == 0 || new_length > profile_.task_end) return fail(Errno::inval);
  if (names_a_place(arguments)) {
    if (to > profile_.task_end - new_length || !arguments.new_address.page_aligned()) return fail(Errno::inval);
    if ((flags & kRemapMayMove) == 0) return fail(Errno::inval);
    if ((flags & kRemapDontUnmap) != 0 && old_length != new_length) return fail(Errno::inval);
    if (from + old_length > to && to + new_length > from) return fail(Errno::inval);  // old and new place overlap
    if (vmas_.size() + 2 >= profile_.max_map_count - 3) return fail(Errno::nomem);
  }
  if (profile_.mremap_moves_many_vmas && (flags & kRemapFixed) != 0 && old_length == new_length) {
    return remap_many(arguments);
  }
  if (vmas_.containing(from) == nullptr) return fail(Errno::fault);
  return names_a_place(arguments) ? remap_to(arguments) : remap_in_place_or_move(arguments);
}

// check_prep_vma(), the part for calls that grow or move a mapping.
Result<void, Errno> AddressSpace::check_expansion(const Vma& vma, const MremapArguments& arguments) const {
  const std::uint64_t old_length = arguments.old_length.value;
  const std::uint64_t new_length = arguments.new_length.value;
  // Old length 0 asks for a second view of shared memory, which private memory cannot give.
  if (old_length == 0 && (vma.flags & kVmMayShare) == 0) return fail(Errno::inval);
  // What a shrinking call drops may reach past the mapping; what it keeps may not.
  if (std::min(old_length, new_length) > vma.end - arguments.address.value) return fail(Errno::fault);
  if ((arguments.flags & kRemapDontUnmap) != 0 && (vma.flags & (kVmDontExpand | kVmPfnMap)) != 0) return fail(Errno::inval);
  if (new_length <= old_length) return {};
  if ((vma.flags & (kVmDontExpand | kVmPfnMap)) != 0) return fail(Errno::fault);
  if (!may_lock_more(vma.flags, new_length - old_length)) return fail(Errno::again);
  if (!may_expand(vma.flags, (new_length - old_length) >> kPageShift)) {
    return fail(Errno::nomem);
  }
  return {};
}

// What a grown mapping that is locked takes at once.
void AddressSpace::populate_grown(VirtAddr address, const MremapArguments& arguments, bool locked) {
  if (!locked || arguments.new_length.value <= arguments.old_length.value) return;
  (void)populate_range(address.value + arguments.old_length.value, address.value + arguments.new_length.value, true);
}

Result<VirtAddr, Errno> AddressSpace::remap_in_place_or_move(const MremapArguments& arguments) {
  const std::uint64_t address = arguments.address.value;
  const std::uint64_t old_length = arguments.old_length.value;
  const std::uint64_t new_length = arguments.new_length.value;
  if (new_length == old_length) return arguments.address;
  if (new_length < old_length) {
    FL_CHECK(unmap_range(address + new_length, address + old_length));
    return arguments.address;
  }
  Vma* vma = vmas_.containing(address);
  FL_CHECK(check_expansion(*vma, arguments));
  const bool locked = (vma->flags & kVmLocked) != 0;

  const std::uint64_t end = vma->end + (new_length - old_length);
  if (old_length == vma->end - address && end <= profile_.task_end && !vmas_.overlaps(vma->end, end)) {
    if ((vma->flags & kVmAccount) != 0 && !charge((new_length - old_length) >> kPageShift)) return fail(Errno::nomem);
    Vma extension = *vma;
    extension.start = vma->end;
    extension.end = end;
    extension.pgoff = vma->pgoff + vma->pages();
    Vma* grown = merge_new(MergeRequest{.range = extension}, false);
    FL_ASSERT(grown != nullptr);  // it continues the mapping it came from
    populate_grown(arguments.address, arguments, locked);
    return arguments.address;
  }
  if ((arguments.flags & kRemapMayMove) == 0) return fail(Errno::nomem);
  MremapArguments placed = arguments;
  FL_TRY(const std::uint64_t place, unmapped_area(0, new_length, 0, huge_offset(0, new_length, vma->anonymous(), aligns_huge(*vma),
                                                                              vma->pgoff_at(address) << kPageShift)));
  placed.new_address = VirtAddr(place);
  FL_TRY(const VirtAddr moved, move_mapping(placed, old_length));
  populate_grown(moved, arguments, locked);
  return moved;
}

Result<VirtAddr, Errno> AddressSpace::remap_to(const MremapArguments& arguments) {
  const std::uint64_t address = arguments.address.value;
  const Vma* vma = vmas_.containing(address);
  FL_CHECK(check_expansion(*vma, arguments));
  std::uint64_t old_length = arguments.old_length.value;
  const std::uint64_t new_length = arguments.new_length.value;
  if ((arguments.flags & kRemapFixed) != 0) {
    FL_CHECK(munmap(arguments.new_address, arguments.new_length));
  }
  if (new_length < old_length) {
    FL_CHECK(unmap_range(address + new_length, address + old_length));
    old_length = new_length;
  }
  vma = vmas_.containing(address);
  const bool locked = (vma->flags & kVmLocked) != 0;
  if ((arguments.flags & kRemapDontUnmap) != 0 && !may_expand(vma->flags, old_length >> kPageShift)) {
    return fail(Errno::nomem);
  }
  const MapFlags fixed = (arguments.flags & kRemapFixed) != 0 ? kMapFixed : 0;
  MremapArguments placed = arguments;
  FL_TRY(const std::uint64_t place,
         unmapped_area(arguments.new_address.value, new_length, fixed,
                       huge_offset(arguments.new_address.value, new_length, vma->anonymous(), aligns_huge(*vma),
                                   vma->pgoff_at(address) << kPageShift)));
  placed.new_address = VirtAddr(place);
  FL_TRY(const VirtAddr moved, move_mapping(placed, old_length));
  populate_grown(moved, arguments, locked);
  return moved;
}

// remap_move(), since 6.17: mappings and the holes between them move together.
Result<VirtAddr, Errno> AddressSpace::remap_many(const MremapArguments& arguments) {
  const std::uint64_t start = arguments.address.value;
  const std::uint64_t end = start + arguments.old_length.value;
  std::uint64_t target = arguments.new_address.value;
  std::optional<VirtAddr> first;
  std::uint64_t at = start;
  std::uint64_t last_end = 0;
  for (Vma* vma = vmas_.find(at); vma != nullptr && vma->start < end; vma = vmas_.find(at)) {
    const std::uint64_t from = std::max(vma->start, at);
    const std::uint64_t to = std::min(vma->end, end);
    if (!first && vma->start > start) return fail(Errno::fault);
    MremapArguments one = arguments;
    one.address = VirtAddr(from);
    one.old_length = one.new_length = ByteCount(to - from);
    one.new_address = VirtAddr(target + (first ? vma->start - last_end : 0));
    last_end = vma->end;
    FL_TRY(const VirtAddr moved, remap_to(one));
    if (!first) first = moved;
    target = moved.value + (to - from);
    at = to;
    if (at >= end) break;
  }
  if (!first) return fail(Errno::fault);
  return *first;
}

// move_vma(): a new mapping with the old one's identity, the entries moved over, the old range unmapped.
Result<VirtAddr, Errno> AddressSpace::move_mapping(const MremapArguments& arguments, std::uint64_t old_length) {
  const std::uint64_t from = arguments.address.value;
  const std::uint64_t to = arguments.new_address.value;
  if (vmas_.size() >= profile_.max_map_count - 3) return fail(Errno::nomem);
  Vma moved = *vmas_.containing(from);
  const bool stays = (arguments.flags & kRemapDontUnmap) != 0;
  const std::uint64_t new_pages = arguments.new_length.value >> kPageShift;
  const std::uint64_t old_pages = old_length >> kPageShift;
  if ((moved.flags & kVmAccount) != 0) {
    // What moves is promised already; unmapping the old place gives its promise back. A call that shrinks as well as
    // moves charges the difference it just gave back, for good: vrm_calc_charge() looks at its size alone.
    const std::uint64_t asked = arguments.old_length.value >> kPageShift;
    const std::uint64_t difference = new_pages > asked ? new_pages - asked : asked - new_pages;
    if (!charge(stays ? new_pages : difference)) return fail(Errno::nomem);
    if (!stays) frames_.commit().charge_anyway(old_pages);
  }
  moved.pgoff = moved.pgoff_at(from);
  moved.start = to;
  moved.end = to + arguments.new_length.value;
  // Without a faulted page nothing refers to the old offset: the mapping may take the one of its new place.
  if (moved.anonymous() && moved.anon_vma == nullptr) moved.pgoff = to >> kPageShift;
  add_mapping(moved, false);
  if (!move_page_tables(from, old_length, to)) {
    FL_CHECK(unmap_range(to, moved.end));
    return fail(Errno::nomem);
  }
  if (stays) {
    after_dont_unmap(from, from + old_length);
    return VirtAddr(to);
  }
  const std::uint64_t peak = peak_mapped_;  // for a moment both places were mapped: that is no peak
  if (old_length > 0) FL_CHECK(unmap_range(from, from + old_length));
  peak_mapped_ = peak;
  return VirtAddr(to);
}

// dontunmap_complete(): the whole old mapping, also what did not move, is not locked any more. Linux leaves VmLck as it
// is, which counts those pages for good, and the pages that stay are kept from reclaim until they are unmapped or unlocked.
void AddressSpace::after_dont_unmap(std::uint64_t start, std::uint64_t end) {
  Vma* old = vmas_.containing(start);
  if ((old->flags & kVmLocked) != 0) {
    stray_locked_ += old->pages();
    table_.for_each(old->start, old->end, [this](std::uint64_t, const Pte& pte) {
      if (pte.maps_frame()) frames_.at(pte.pfn()).left_locked = true;
    });
  }
  old->flags &= ~kVmLockedMask;
  if (old->start == start && old->end == end) VmaTree::set_anon_vma(*old, nullptr);
}

bool AddressSpace::move_page_tables(std::uint64_t from, std::uint64_t length, std::uint64_t to) {
  // A huge page moves whole where both places are aligned alike (move_huge_pmd()).
  const bool whole = from % profile_.huge_page_size == to % profile_.huge_page_size;
  split_huge_at(from, from + length);
  // Tables first: the move then cannot fail half way. Where the old place has a table the new one gets one, entries or not.
  bool enough = true;
  table_.for_each_table(from, from + length, [&](std::uint64_t start, std::uint64_t end) {
    enough = enough && table_.make_entry(VirtAddr(start - from + to).vpn()) != nullptr;
    enough = enough && table_.make_entry(VirtAddr(end - kPageSize - from + to).vpn()) != nullptr;
  });
  if (!enough) return false;
  table_.for_each(from, from + length, [&](std::uint64_t at, Pte& pte) {
    Pte* target = table_.entry(VirtAddr(at - from + to).vpn());
    *target = pte;
    if (!whole) target->bits &= ~Pte::kHuge;
    if (pte.maps_frame()) frames_.move_user(pte.pfn(), {this, VirtAddr(at).vpn()}, {this, VirtAddr(at - from + to).vpn()});
    pte = Pte{};
  });
  // Whole tables move as they are (move_normal_pmd()): the old place has none left, even if it stays mapped.
  if (whole) table_.free_empty_leaves(from, from + length);
  return true;
}

}  // namespace faultline::mm
