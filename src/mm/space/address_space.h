// AddressSpace: one process's virtual memory: mappings, page table, program break, counters.
// Counterpart: struct mm_struct with mm/{mmap,vma,mremap,mprotect,madvise,memory}.c of Linux 6.18.
//
// Every system call answers as Linux does: the value or the Errno. Lengths are bytes and may be unaligned where Linux
// takes them so. Nothing here does I/O, has a thread, or reads a clock: the same calls give the same state.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/units.h"
#include "mm/errno.h"
#include "mm/kernel_profile.h"
#include "mm/paging/page_table.h"
#include "mm/phys/frame_table.h"
#include "mm/space/flags.h"
#include "mm/space/mapped_pages.h"
#include "mm/space/statistics.h"
#include "mm/space/vma_tree.h"

namespace faultline::mm {

struct MmapArguments {
  VirtAddr address{};  // hint, or the place with kMapFixed
  ByteCount length{};
  Prot prot = kProtReadWrite;
  MapFlags flags = kMapPrivate | kMapAnonymous;  // without kMapAnonymous: a file
  VmaTag tag = VmaTag::other;
  std::uint32_t file = 0;         // opaque file number; or else
  OpenFile* backing = nullptr;    // the file
  std::uint64_t file_offset = 0;  // bytes
  bool file_aligns_huge = false;  // the opaque file's f_op->get_unmapped_area is thp_get_unmapped_area (ext4, xfs, btrfs)
};

struct MremapArguments {
  VirtAddr address{};
  ByteCount old_length{};
  ByteCount new_length{};
  RemapFlags flags = 0;
  VirtAddr new_address{};  // kRemapFixed, kRemapDontUnmap
};

// What one access met. hit: no fault. Signals leave no trace in the address space.
enum class Access : std::uint8_t { hit, minor_fault, major_fault, segv_maperr, segv_accerr, sigbus, out_of_memory };
constexpr bool refused(Access access) { return access >= Access::segv_maperr; }

// Who takes the faults: the processor; MAP_POPULATE and mlock (__mm_populate()); MADV_POPULATE_* (faultin_page_range()). They
// differ in how a fault that had to wait for the disk is counted.
enum class FaultOrigin : std::uint8_t { access, populate, advice };

class AddressSpace {
 public:
  struct Layout {
    VirtAddr start_brk{0x5555'5557'8000};   // mm->start_brk
    VirtAddr mmap_base{0x7fff'f7ff'f000};   // top-down search starts below this
    VirtAddr mmap_floor{4096};              // and does not go below this
    ByteCount data_length{};                // mm->end_data - start_data: counts against RLIMIT_DATA with the break
  };

  AddressSpace(FrameTable& frames, const KernelProfile& profile, const Layout& layout,
               const ResourceLimits& limits = {});
  AddressSpace(FrameTable& frames, const KernelProfile& profile) : AddressSpace(frames, profile, Layout{}) {}
  ~AddressSpace();
  // The child's copy: the same mappings; anonymous pages are shared until someone writes. ENOMEM when frames run out.
  Result<std::unique_ptr<AddressSpace>, Errno> fork();
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

  // --- system calls ---
  Result<VirtAddr, Errno> mmap(const MmapArguments& arguments);
  Result<void, Errno> munmap(VirtAddr address, ByteCount length);
  Result<VirtAddr, Errno> mremap(const MremapArguments& arguments);
  Result<void, Errno> mprotect(VirtAddr address, ByteCount length, Prot prot);
  Result<void, Errno> madvise(VirtAddr address, ByteCount length, Madvice advice);
  VirtAddr brk(VirtAddr requested);  // brk(2) as the kernel answers it: the break afterwards, moved or not
  Result<std::vector<bool>, Errno> mincore(VirtAddr address, ByteCount length) const;  // one per page
  Result<void, Errno> msync(VirtAddr address, ByteCount length, MsyncFlags flags);
  Result<void, Errno> mlock(VirtAddr address, ByteCount length) { return mlock2(address, length, 0); }
  Result<void, Errno> mlock2(VirtAddr address, ByteCount length, MlockFlags flags);
  Result<void, Errno> munlock(VirtAddr address, ByteCount length);
  Result<void, Errno> mlockall(MlockallFlags flags);
  Result<void, Errno> munlockall();
  void set_limits(const ResourceLimits& limits) { limits_ = limits; }  // setrlimit(2)

  // A mapping as execve or a driver leaves it, flags and offset included; it must not overlap and joins no other. Linux:
  // insert_vm_struct(), _install_special_mapping().
  void install_mapping(const Vma& vma);

  void set_thp_disabled(bool disabled) { thp_disabled_ = disabled; }  // prctl(PR_SET_THP_DISABLE); inherited by fork

  // --- the process's accesses ---
  // One access to the page of `address`. A hit costs a few nanoseconds and looks at the page table alone, as hardware does.
  Access access(VirtAddr address, bool write) { return access_if_hit(address, write) ? Access::hit : access_slowly(address, write); }
  bool access_if_hit(VirtAddr address, bool write) {
    Pte* const pte = table_.cached_entry(address.vpn());
    return pte != nullptr && hit(*pte, write);
  }
  // The same where the entry is known. False: it faults, and nothing happened.
  static bool hit(Pte& pte, bool write) {
    const std::uint64_t need = write ? Pte::kPresent | Pte::kWritable : Pte::kPresent;
    if ((pte.bits & need) != need) return false;
    pte.bits |= write ? Pte::kAccessed | Pte::kDirty : Pte::kAccessed;
    return true;
  }

  // An access will come there: its entry, null where it is not known, is the same until the next system call and is pulled into the
  // processor's cache; and then, of an entry that is in swap, what the fault looks at: each finds there what the one before fetched.
  Pte* entry_ahead(VirtAddr address) {
    Pte* const pte = table_.cached_entry(address.vpn());
    __builtin_prefetch(pte, 1);
    return pte;
  }
  void prefetch_slot(const Pte& pte) const;
  void prefetch_page(const Pte& pte) const;  // what page replacement keeps of what the slot holds

  // --- program break ---
  VirtAddr start_brk() const { return layout_.start_brk; }
  VirtAddr current_brk() const { return VirtAddr(brk_); }
  void set_capabilities(const Capabilities& capabilities) { capabilities_ = capabilities; }
  // execve's part; only before the first brk() that moves. data: of the program's segments, see Layout.
  void set_start_brk(VirtAddr start, ByteCount data = ByteCount(0));

  // --- execve's part, beside the system calls (exec.cc) ---
  // Anonymous read-write memory in place of whatever is there: the pages of a bss. Unaligned lengths are rounded up, 0 is done.
  Result<void, Errno> map_bss(VirtAddr start, ByteCount length, bool executable);
  Result<void, Errno> grow_stack(VirtAddr to);  // the growing mapping at or above `to` reaches down to it; no page is touched
  Result<VirtAddr, Errno> find_area(ByteCount length) const;  // get_unmapped_area(): where mmap would put it
  // Mappings no resource limit stands against (insert_vm_struct()); the place must be free.
  Result<void, Errno> insert_stack(VirtAddr end);  // one page that grows downwards
  void insert_special(VirtAddr start, PageCount pages, VmFlags flags, std::uint32_t file);

  // --- what is there ---
  const VmaTree& vmas() const { return vmas_; }
  const PageTable& page_table() const { return table_; }
  const Statistics& statistics() const { return statistics_; }
  const MappedPages& mapped() const { return mapped_; }
  std::uint64_t peak_mapped_pages() const { return peak_mapped_ > mapped_.total ? peak_mapped_ : mapped_.total; }  // VmPeak
  const ResourceLimits& limits() const { return limits_; }
  const Capabilities& capabilities() const { return capabilities_; }
  const Layout& layout() const { return layout_; }
  const KernelProfile& profile() const { return profile_; }
  bool resident(VirtAddr address) const;  // has a frame of its own
  bool huge_page_eligible(const Vma& vma) const;  // THPeligible: a fault may map a huge page somewhere in it
  ByteCount huge_bytes(VirtAddr start, VirtAddr end) const;  // mapped by huge pages, the zero page not counted
  void check_invariants() const;          // recomputes every counter from scratch; asserts

  // --- khugepaged ---
  // Looks at regions from `cursor` on and makes huge pages of those worth it, until `budget` pages were looked at: returns how many. At
  // the end of the address space cursor is kScannedAll. Counterpart: khugepaged_scan_mm_slot() (mm/khugepaged.c).
  static constexpr std::uint64_t kScannedAll = ~std::uint64_t{0};
  std::uint64_t scan_for_huge_pages(std::uint64_t& cursor, std::uint64_t budget, std::uint64_t& collapsed);

  // --- what happens to a file's page, wherever it is mapped (backing/file_users.h) ---
  void forget_entry(Vpn vpn);                                                          // the entry goes
  void clean_entry(Vpn vpn);                                                           // it becomes read-only and clean
  void unmap_file(const FileObject& file, std::uint64_t first, std::uint64_t end);     // pages; private copies too

  // --- what page replacement does to the entry of a page, wherever it is mapped (reverse_map.h) ---
  bool take_accessed(Vpn vpn);                      // test and clear
  void swap_out_entry(Vpn vpn, SwapSlot slot);      // it refers to the slot from now on
  void split_huge_entry(Vpn vpn);
  VmFlags flags_at(Vpn vpn) const;                  // of the mapping around it

  void set_outside_pages(std::uint64_t pages);  // resident pages of the process that are not held here; see statistics.h

 private:
  struct OriginScope {
    OriginScope(FaultOrigin& origin, FaultOrigin now) : origin_(origin) { origin = now; }
    ~OriginScope() { origin_ = FaultOrigin::access; }
    OriginScope(const OriginScope&) = delete;
    OriginScope& operator=(const OriginScope&) = delete;

   private:
    FaultOrigin& origin_;
  };
  // A range about to become a mapping (or to change flags), with the mappings that touch it.
  struct MergeRequest {
    Vma range;             // what the range would be as a mapping of its own
    Vma* prev = nullptr;   // ends where the range starts, or null
    Vma* next = nullptr;   // starts where the range ends, or null
  };

  // fault.cc
  Access access_slowly(VirtAddr address, bool write);
  Access handle_fault(Vma& vma, std::uint64_t address, bool write, Pte& pte);
  Access fault_in_anonymous(Vma& vma, bool write, Pte& pte, FrameUser user);
  Access write_to_protected(Vma& vma, Pte& pte, FrameUser user);
  bool copy_page(Vma& vma, Pte& pte, FrameUser user);
  Access fault_done(const Vma& vma, FaultPath path, bool major = false);
  void count_resident(const Vma& vma, FrameUse use, std::uint64_t pages);
  void prepare_anon_vma(Vma& vma);
  void note_peak();
  static std::uint64_t entry_flags(const Vma& vma, bool writable);

  // swap_fault.cc
  Access fault_in_swapped(Vma& vma, bool write, Pte& pte, FrameUser user);
  std::optional<Pfn> read_around_page(Vma& vma, SwapSlot slot, Vpn vpn);

  // file_fault.cc
  Access fault_in_opaque(Vma& vma, bool write, Pte& pte, FrameUser user);
  Access fault_in_file(Vma& vma, std::uint64_t address, bool write, bool fresh_table);
  void map_file_page(const Vma& vma, std::uint64_t address, Pte& pte, bool write);
  void map_folio(const Vma& vma, std::uint64_t address, bool write);
  bool map_around(const Vma& vma, std::uint64_t address, bool fresh_table);
  static bool aligns_huge(const Vma& vma);  // as MmapArguments::file_aligns_huge
  void drop_fresh_table(std::uint64_t address);
  void split_advised_folios(const Vma& vma, std::uint64_t start, std::uint64_t end);
  static void note_shared_write(const Vma& vma, std::uint64_t address);

  // huge_page.cc
  bool huge_page_allowed(const Vma& vma, bool forced) const;
  static bool huge_page_fits(const Vma& vma, std::uint64_t address);
  static bool has_room_for_huge_page(const Vma& vma);
  bool fault_in_huge(Vma& vma, std::uint64_t address, bool write);
  void map_huge(const Vma& vma, std::uint64_t region, bool write, bool zero);
  bool write_to_huge(Vma& vma, std::uint64_t address, FaultPath& path);
  void split_huge_page(std::uint64_t address);
  void split_owned_huge_at(std::uint64_t start, std::uint64_t end);
  void split_huge_at(std::uint64_t start, std::uint64_t end);

  // collapse.cc
  Result<void, Errno> collapse(Vma& vma, std::uint64_t start, std::uint64_t end);
  void collapse_region(const Vma& vma, std::uint64_t region);
  bool worth_collapsing(const Vma& vma, std::uint64_t region) const;

  // stack.cc
  Vma* expand_stack(std::uint64_t address);
  bool may_grow_stack(const Vma& vma, std::uint64_t size, std::uint64_t grow);

  // populate.cc
  Result<void, Errno> populate_vma(std::uint64_t start, std::uint64_t end);
  Result<void, Errno> populate_range(std::uint64_t start, std::uint64_t end, bool ignore_errors);

  // mlock.cc
  bool may_lock() const { return limits_.memlock != 0 || capabilities_.ipc_lock; }
  bool may_lock_more(VmFlags flags, std::uint64_t bytes) const;
  Result<void, Errno> lock_range(std::uint64_t start, std::uint64_t end, VmFlags lock);
  Result<void, Errno> lock_vma(Vma& vma, std::uint64_t start, std::uint64_t end, VmFlags lock);
  void lock_all(MlockallFlags flags);
  std::uint64_t locked_pages(std::uint64_t start, std::uint64_t end) const;

  // merge.cc
  void find_neighbours(MergeRequest& request);
  bool can_merge_left(const MergeRequest& request) const;
  bool can_merge_right(const MergeRequest& request, bool left) const;
  Vma* merge_new(MergeRequest request, bool only_expand);  // null: nothing to merge with
  Vma& add_mapping(const Vma& range, bool only_expand);    // merge_new or a mapping of its own
  Result<void, Errno> modify(Vma& vma, std::uint64_t start, std::uint64_t end, VmFlags flags);
  Result<void, Errno> split(std::uint64_t at);             // no mapping crosses `at` afterwards
  void split_anyway(std::uint64_t at);                     // whatever max_map_count says

  // placement.cc
  Result<std::uint64_t, Errno> unmapped_area(std::uint64_t hint, std::uint64_t length, MapFlags flags,
                                             std::optional<std::uint64_t> huge_offset) const;
  std::optional<std::uint64_t> huge_offset(std::uint64_t hint, std::uint64_t length, bool anonymous, bool file_aligns,
                                           std::uint64_t file_offset) const;
  std::optional<std::uint64_t> free_area(std::uint64_t hint, std::uint64_t length, MapFlags flags) const;
  std::optional<std::uint64_t> free_area_32bit(std::uint64_t hint, std::uint64_t length) const;

  // mmap.cc
  Result<void, Errno> map_region(Vma vma);

  // munmap.cc
  Result<void, Errno> unmap_range(std::uint64_t start, std::uint64_t end);
  void zap(const Vma& vma, std::uint64_t start, std::uint64_t end, bool keep_guards = false);
  void drop_entry(const Vma& vma, Pte& pte, FrameUser user);  // the entry, its frame and its count

  // fork.cc
  bool copy_entries(const Vma& vma, AddressSpace& child, const Vma& child_vma);

  // mprotect.cc, madvise.cc, brk.cc
  Result<void, Errno> protect_vma(Vma& vma, std::uint64_t start, std::uint64_t end, VmFlags flags);
  void change_protection(const Vma& vma, std::uint64_t start, std::uint64_t end);
  Result<void, Errno> advise_vma(Vma& vma, std::uint64_t start, std::uint64_t end, Madvice advice);
  Result<VmFlags, Errno> advised_flags(const Vma& vma, Madvice advice) const;
  void free_lazily(const Vma& vma, std::uint64_t start, std::uint64_t end);
  void page_out(const Vma& vma, std::uint64_t start, std::uint64_t end);
  Result<void, Errno> advise_populate(std::uint64_t start, std::uint64_t end, bool write);

  // guard.cc
  Result<void, Errno> install_guards(Vma& vma, std::uint64_t start, std::uint64_t end);
  void remove_guards(std::uint64_t start, std::uint64_t end);

  Result<void, Errno> expand_brk(std::uint64_t start, std::uint64_t end);

  // mremap.cc
  Result<void, Errno> check_expansion(const Vma& vma, const MremapArguments& arguments) const;
  Result<VirtAddr, Errno> remap_in_place_or_move(const MremapArguments& arguments);
  Result<VirtAddr, Errno> remap_to(const MremapArguments& arguments);
  Result<VirtAddr, Errno> remap_many(const MremapArguments& arguments);
  Result<VirtAddr, Errno> move_mapping(const MremapArguments& arguments, std::uint64_t old_length);
  void populate_grown(VirtAddr address, const MremapArguments& arguments, bool locked);
  void after_dont_unmap(std::uint64_t start, std::uint64_t end);
  bool move_page_tables(std::uint64_t from, std::uint64_t length, std::uint64_t to);

  bool may_expand(VmFlags flags, std::uint64_t pages) const;
  bool charge(std::uint64_t pages) { return frames_.commit().charge(pages, mapped_.total, capabilities_.sys_admin); }
  void count_mapped(const Vma& vma, std::uint64_t pages) {
    statistics_.of(vma.tag).mapped_pages += pages;
    mapped_.add(vma.flags, pages);
  }
  void count_unmapped(const Vma& vma, std::uint64_t pages) {
    if (mapped_.total > peak_mapped_) peak_mapped_ = mapped_.total;  // update_hiwater_vm()
    statistics_.of(vma.tag).mapped_pages -= pages;
    mapped_.remove(vma.flags, pages);
    if ((vma.flags & kVmAccount) != 0) frames_.commit().uncharge(pages);
  }

  FrameTable& frames_;
  KernelProfile profile_;
  Layout layout_;
  ResourceLimits limits_;
  Capabilities capabilities_;
  VmFlags default_flags_ = 0;  // mm->def_flags: what mlockall(MCL_FUTURE) gives every new mapping
  MappedPages mapped_;
  std::uint64_t peak_mapped_ = 0;  // mm->hiwater_vm: brought up to date when something goes
  std::uint64_t stray_locked_ = 0;  // pages VmLck counts although no mapping is locked for them; see after_dont_unmap()
  std::uint64_t brk_ = 0;
  bool thp_disabled_ = false;
  FaultOrigin fault_origin_ = FaultOrigin::access;
  VmaTree vmas_;
  PageTable table_;
  Statistics statistics_;
};

}  // namespace faultline::mm
