#include "mm/space/address_space.h"

#include <algorithm>

#include "base/assert.h"
#include "mm/backing/open_file.h"
#include "mm/backing/swap_space.h"

namespace faultline::mm {

AddressSpace::AddressSpace(FrameTable& frames, const KernelProfile& profile, const Layout& layout,
                           const ResourceLimits& limits)
    : frames_(frames), profile_(profile), layout_(layout), limits_(limits), brk_(layout.start_brk.value), table_(frames) {}

AddressSpace::~AddressSpace() {
  vmas_.for_each([this](const Vma& vma) {
    zap(vma, vma.start, vma.end);
    count_unmapped(vma, vma.pages());
  });
}

void AddressSpace::set_start_brk(VirtAddr start, ByteCount data) {
  FL_ASSERT(brk_ == layout_.start_brk.value);
  layout_.data_length = data;
  layout_.start_brk = start;
  brk_ = start.value;
}

void AddressSpace::set_outside_pages(std::uint64_t pages) {
  statistics_.outside_pages = pages;
  note_peak();
}

bool AddressSpace::resident(VirtAddr address) const {
  const Pte* pte = table_.entry(address.vpn());
  return pte != nullptr && pte->maps_frame();
}

// mm/mmap.c: may_expand_vm().
bool AddressSpace::may_expand(VmFlags flags, std::uint64_t pages) const {
  if (mapped_.total + pages > limits_.address_space >> kPageShift) return false;
  if (!is_data_mapping(flags) || mapped_.data + pages <= limits_.data >> kPageShift) return true;
  // A soft limit of 0 stands for the hard one: a workaround for Valgrind.
  return limits_.data == 0 && mapped_.data + pages <= limits_.data_hard >> kPageShift;
}

void AddressSpace::check_invariants() const {
  vmas_.check_invariants();
  table_.check_invariants();
  std::array<std::uint64_t, kVmaTags> resident{};
  std::array<std::uint64_t, kVmaTags> resident_file{};
  std::array<std::uint64_t, kVmaTags> resident_shmem{};
  std::array<std::uint64_t, kVmaTags> swapped{};
  std::array<std::uint64_t, kVmaTags> mapped{};
  std::uint64_t entries = 0;
  MappedPages by_kind;
  vmas_.for_each([&](const Vma& vma) {
    const auto tag = static_cast<std::size_t>(vma.tag);
    mapped[tag] += vma.pages();
    by_kind.add(vma.flags, vma.pages());
    FL_ASSERT((vma.flags & kVmLockedMask) != kVmLockOnFault);
    table_.for_each(vma.start, vma.end, [&](std::uint64_t at, const Pte& pte) {
      ++entries;
      if (pte.guard()) {
        FL_ASSERT(pte.bits == Pte::kGuard);
        return;
      }
      if (pte.swap()) {
        ++swapped[tag];
        FL_ASSERT(frames_.swap() != nullptr && frames_.swap()->area().entries(pte.swap_slot()) > 0);
        return;
      }
      FL_ASSERT(pte.present() == vma.accessible());
      if (pte.huge()) {
        const Pte* first = table_.entry(VirtAddr(at / entry_span(2) * entry_span(2)).vpn());
        FL_ASSERT(vma.anonymous() && huge_page_fits(vma, at) && first->huge() && first->zero_page() == pte.zero_page());
      }
      FL_ASSERT(pte.present() != pte.protection_none());
      FL_ASSERT(!pte.writable() || (vma.writable() && !pte.zero_page()));
      if (pte.zero_page()) return;
      const Frame& frame = frames_.at(pte.pfn());
      FL_ASSERT(frame.use == FrameUse::anonymous || frame.use == FrameUse::file || frame.use == FrameUse::shmem);
      FL_ASSERT(frame.use == FrameUse::anonymous || frame.file == nullptr ||
                (frame.file == &vma.backing->object() && frame.index == vma.pgoff_at(at)));
      FL_ASSERT(frame.use != FrameUse::anonymous || vma.anon_vma != nullptr);
      FL_ASSERT(!pte.writable() || frame.use != FrameUse::anonymous || frame.exclusive);
      FL_ASSERT(frames_.used_by(pte.pfn(), {const_cast<AddressSpace*>(this), VirtAddr(at).vpn()}));
      ++(frame.use == FrameUse::anonymous ? resident : (frame.use == FrameUse::shmem ? resident_shmem : resident_file))[tag];
    });
  });
  by_kind.locked += stray_locked_;
  FL_ASSERT(by_kind == mapped_);
  FL_ASSERT(entries == table_.count_entries());  // nothing is mapped outside the mappings
  std::uint64_t total = 0;
  for (std::size_t tag = 0; tag < kVmaTags; ++tag) {
    const TagStatistics& counted = statistics_.by_tag[tag];
    FL_ASSERT(counted.resident_pages == resident[tag]);
    FL_ASSERT(counted.resident_file_pages == resident_file[tag]);
    FL_ASSERT(counted.resident_shmem_pages == resident_shmem[tag]);
    FL_ASSERT(counted.swapped_pages == swapped[tag]);
    FL_ASSERT(counted.mapped_pages == mapped[tag]);
    std::uint64_t sum = 0;
    for (const std::uint64_t n : counted.faults) sum += n;
    FL_ASSERT(counted.minor_faults + counted.major_faults == sum);
    total += resident[tag] + resident_file[tag] + resident_shmem[tag];
  }
  FL_ASSERT(statistics_.resident_pages == total);
  FL_ASSERT(statistics_.peak_resident_pages >= total + statistics_.outside_pages);
  FL_ASSERT(brk_ >= layout_.start_brk.value);
}

}  // namespace faultline::mm
