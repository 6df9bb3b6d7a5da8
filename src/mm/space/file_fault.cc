// Faults on mappings of files and of shared memory. Counterpart: do_read_fault(), do_cow_fault(), do_shared_fault(),
// finish_fault(), do_fault_around() (mm/memory.c) and filemap_map_pages() (mm/filemap.c).
#include <algorithm>

#include "base/assert.h"
#include "mm/backing/file_users.h"
#include "mm/backing/open_file.h"
#include "mm/space/address_space.h"

namespace faultline::mm {

namespace {

ReadPattern pattern_of(const Vma& vma) {
  return {.random = (vma.flags & kVmRandomRead) != 0,
          .sequential = (vma.flags & kVmSequentialRead) != 0,
          .huge = (vma.flags & kVmHugePage) != 0,
          .executable = (vma.flags & kVmExec) != 0,
          .first = vma.pgoff,
          .end = vma.pgoff + vma.pages()};
}

}  // namespace

// An opaque file: its pages are always in the page cache, each fault maps one. A private write copies at once.
Access AddressSpace::fault_in_opaque(Vma& vma, bool write, Pte& pte, FrameUser user) {
  const bool shared = (vma.flags & kVmShared) != 0;
  const bool copy = write && !shared;
  if (copy && vma.anon_vma == nullptr) prepare_anon_vma(vma);
  const std::optional<Pfn> pfn = frames_.allocate_for(copy ? FrameUse::anonymous : FrameUse::file, user);
  if (!pfn) return Access::out_of_memory;
  pte = Pte::make(*pfn, entry_flags(vma, copy || shared) | Pte::kAccessed | (write ? Pte::kDirty : 0));
  count_resident(vma, frames_.at(*pfn).use, 1);
  return fault_done(vma, copy ? FaultPath::cow_copy : FaultPath::file_map);
}

// A fault that had to wait starts over, and then counts as major if it is known to be a second try. The processor's fault is
// known as one when the first try was major or there were two (do_user_addr_fault(), mm_account_fault()); populating never
// says so, advice always does.
Access AddressSpace::fault_in_file(Vma& vma, std::uint64_t address, bool write, bool fresh_table) {
  const bool copy = write && (vma.flags & kVmShared) == 0;
  if (copy && vma.anon_vma == nullptr) prepare_anon_vma(vma);
  const std::uint64_t index = vma.pgoff_at(address);
  bool major = false;  // a known second try
  for (int tries = 1;; ++tries) {
    if (!write && map_around(vma, address, fresh_table)) {
      return fault_done(vma, major ? FaultPath::file_read : FaultPath::file_map, major);
    }
    const FileFault met = vma.backing->fault(index, pattern_of(vma), major);
    if (met.status == FileFault::beyond_end) {
      if (fresh_table) drop_fresh_table(address);
      return Access::sigbus;
    }
    if (met.status == FileFault::no_memory) return Access::out_of_memory;
    if (met.status == FileFault::ready) break;
    if (fault_origin_ == FaultOrigin::access) major = met.major || tries > 1;
    if (fault_origin_ == FaultOrigin::advice) major = true;
  }
  if (!copy) {
    map_folio(vma, address, write);
    return fault_done(vma, major ? FaultPath::file_read : FaultPath::file_map, major);
  }
  const std::optional<Pfn> pfn = frames_.allocate_for(FrameUse::anonymous, {this, VirtAddr(address).vpn()});
  if (!pfn) return Access::out_of_memory;
  *table_.entry(VirtAddr(address).vpn()) = Pte::make(*pfn, entry_flags(vma, true) | Pte::kAccessed | Pte::kDirty);
  count_resident(vma, FrameUse::anonymous, 1);
  return fault_done(vma, major ? FaultPath::file_read : FaultPath::cow_copy, major);
}

bool AddressSpace::aligns_huge(const Vma& vma) { return vma.backing != nullptr && !vma.backing->object().shmem(); }

// A table made for a fault that came to nothing goes again; it is put in place with the first entry only.
void AddressSpace::drop_fresh_table(std::uint64_t address) {
  const std::uint64_t region = address / table_span(1) * table_span(1);
  table_.free_empty_leaves(region, region + table_span(1));
}

// The entry of one cached page. Where every write to the file must be noticed first (a disk's: page_mkwrite), a page that
// was only read stays read-only.
void AddressSpace::map_file_page(const Vma& vma, std::uint64_t address, Pte& pte, bool write) {
  const FileObject& file = vma.backing->object();
  const Pfn pfn = file.frame(vma.pgoff_at(address));
  frames_.map(pfn, {this, VirtAddr(address).vpn()});
  const bool writable = (vma.flags & kVmShared) != 0 && (write || file.shmem());
  pte = Pte::make(pfn, entry_flags(vma, writable) | Pte::kAccessed | (write ? Pte::kDirty : 0));
  count_resident(vma, file.shmem() ? FrameUse::shmem : FrameUse::file, 1);
}

// finish_fault(): the page, with its whole folio where that fits into the mapping, one table and the file.
void AddressSpace::map_folio(const Vma& vma, std::uint64_t address, bool write) {
  FileObject& file = vma.backing->object();
  const std::uint64_t index = vma.pgoff_at(address);
  const Folio folio = file.folio(index);
  if (write) file.set_dirty(index, true);
  Pte* const pte = table_.entry(VirtAddr(address).vpn());
  const std::uint64_t before = index - folio.first;
  const std::uint64_t slot = table_index(address, 1);
  bool whole = profile_.maps_whole_folios && folio.order > 0 && folio.first >= vma.pgoff &&
               folio.end() <= vma.pgoff + vma.pages() && slot >= before && slot - before + folio.pages() <= kEntriesPerTable &&
               (file.shmem() || file.pages() >= folio.end());
  for (std::uint64_t i = 0; whole && i < folio.pages(); ++i) whole = (pte - before)[i].none();
  if (!whole) {
    map_file_page(vma, address, *pte, write);
    return;
  }
  const std::uint64_t first = address - (before << kPageShift);
  for (std::uint64_t i = 0; i < folio.pages(); ++i) map_file_page(vma, page_floor(first) + (i << kPageShift), (pte - before)[i], write);
}

// do_fault_around(): what is cached near the faulting page is mapped with it, whole folios where they fit. A folio with
// a read-ahead marker is left for a fault of its own, which starts the next read-ahead. True when that served the fault.
//
// Where the table was missing and the first folio is the file's last one, Linux has not put the new table in place yet and
// gives up (filemap_map_pages() calls filemap_map_pmd() only for folios that end before the file).
bool AddressSpace::map_around(const Vma& vma, std::uint64_t address, bool fresh_table) {
  const std::uint64_t window = profile_.fault_around_pages;
  if (window <= 1) return false;
  FileObject& file = vma.backing->object();
  const std::uint64_t slot = table_index(address, 1);
  const std::uint64_t index = vma.pgoff_at(address);
  const std::uint64_t into = index - vma.pgoff;
  const std::uint64_t from = std::max(slot / window * window, slot - std::min(slot, into));
  const std::uint64_t to = std::min({from + window, kEntriesPerTable, slot + vma.pages() - into});
  if (file.pages() == 0) return false;
  const std::uint64_t file_last = file.pages() - 1;
  const std::uint64_t last = std::min(index + (to - 1) - slot, file_last);  // page of the file, inclusive
  Pte* const entries = table_.entry(VirtAddr(address).vpn()) - slot;
  const auto slot_of = [&](std::uint64_t page) { return slot + (page - index); };  // wraps below, and back
  bool served = false;
  std::uint64_t met = 0;
  for (std::uint64_t at = index + from - slot; at <= last;) {
    if (!file.cached(at)) {
      ++at;
      continue;
    }
    const Folio folio = file.folio(at);
    std::uint64_t first = at;
    std::uint64_t end = std::min(folio.end(), last + 1);
    at = folio.end();
    if (folio.marker) continue;
    if (fresh_table && file_last < folio.end() && !file.shmem()) return false;
    fresh_table = false;
    if (profile_.maps_whole_folios && folio.order > 0 && (file_last >= folio.end() || file.shmem()) && folio.first >= vma.pgoff &&
        folio.end() <= vma.pgoff + vma.pages()) {
      const std::uint64_t start = slot_of(folio.first);
      if (start < kEntriesPerTable && start + folio.pages() <= kEntriesPerTable) {
        first = folio.first;
        end = folio.end();
      }
    }
    if (!file.in_working_set(folio.first)) met += end - first;  // where pages come back all the time, reading ahead is a waste
    for (std::uint64_t page = first; page < end; ++page) {
      Pte& pte = entries[slot_of(page)];
      if (!pte.none()) continue;
      map_file_page(vma, page_floor(address) + ((page - index) << kPageShift), pte, false);
      if (page == index) served = true;
    }
  }
  vma.backing->read_ahead().mapped_around(met);
  return served;
}

// madvise_cold_or_pageout_pte_range(): a large folio of which only a part is advised is split, if nobody else has it; that
// takes all its entries away.
void AddressSpace::split_advised_folios(const Vma& vma, std::uint64_t start, std::uint64_t end) {
  FileObject& file = vma.backing->object();
  for (std::uint64_t at = start; at < end;) {
    const Pte* pte = table_.entry(VirtAddr(at).vpn());
    if (pte == nullptr || !pte->maps_frame() || frames_.at(pte->pfn()).use != FrameUse::file) {
      at += kPageSize;
      continue;
    }
    const std::uint64_t index = vma.pgoff_at(at);
    const Folio folio = file.folio(index);
    std::uint64_t run = 0;  // pages of the folio that are mapped here and advised
    while (at + (run << kPageShift) < end && index + run < folio.end()) {
      const Pte* next = table_.entry(VirtAddr(at + (run << kPageShift)).vpn());
      if (next == nullptr || !next->maps_frame() || next->pfn() != file.frame(index + run)) break;
      ++run;
    }
    bool shared = false;
    for (std::uint64_t page = folio.first; page < folio.end(); ++page) {
      frames_.for_each_user(file.frame(page), [&](const FrameUser& user) { shared = shared || user.space != this; });
    }
    if (run < folio.pages() && !shared) {
      split_completely(frames_, file, index, [](const FrameUser& user) { user.space->forget_entry(user.vpn); });
    }
    at += std::max<std::uint64_t>(run, 1) << kPageShift;
  }
}

// page_mkwrite: a shared page of a disk's file that was read only so far.
void AddressSpace::note_shared_write(const Vma& vma, std::uint64_t address) {
  if (vma.backing != nullptr) vma.backing->object().set_dirty(vma.pgoff_at(address), true);
}

// try_to_unmap_one(), page_vma_mkclean_one(): what happens to a file's page reaches everyone who maps it.
void AddressSpace::forget_entry(Vpn vpn) {
  const Vma* vma = vmas_.containing(base_of(vpn).value);
  drop_entry(*vma, *table_.entry(vpn), {this, vpn});
  table_.note_change();
}

void AddressSpace::clean_entry(Vpn vpn) {
  table_.entry(vpn)->bits &= ~(Pte::kWritable | Pte::kDirty);
  table_.note_change();
}

// unmap_mapping_range() with even_cows: the entries of pages [first, end) of a file, private copies too.
void AddressSpace::unmap_file(const FileObject& file, std::uint64_t first, std::uint64_t end) {
  vmas_.for_each([&](const Vma& vma) {
    if (vma.backing == nullptr || &vma.backing->object() != &file) return;
    const std::uint64_t from = std::max(first, vma.pgoff);
    const std::uint64_t to = std::min(end, vma.pgoff + vma.pages());
    if (from < to) zap(vma, vma.start + ((from - vma.pgoff) << kPageShift), vma.start + ((to - vma.pgoff) << kPageShift), true);
  });
}

}  // namespace faultline::mm
