#include "mm/space/address_space.h"

#include <algorithm>

#include "base/assert.h"

namespace faultline::mm {

AddressSpace::AddressSpace(FrameTable& frames, const KernelProfile& profile, const Layout& layout,
                           const ResourceLimits& limits)
    : frames_(frames), profile_(profile), layout_(layout), limits_(limits), brk_(layout.start_brk.value), table_(frames) {}

AddressSpace::~AddressSpace() {
  vmas_.for_each([this](const Vma& vma) { zap(vma, vma.start, vma.end); });
}

void AddressSpace::set_start_brk(VirtAddr start) {
  FL_ASSERT(brk_ == layout_.start_brk.value);
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

// mm/mincore.c: a page counts when its entry is there, the zero page and PROT_NONE pages included.
Result<std::vector<bool>, Errno> AddressSpace::mincore(VirtAddr address, ByteCount length) const {
  if (!address.page_aligned()) return fail(Errno::inval);
  std::vector<bool> pages;
  const std::uint64_t end = address.value + page_ceil(length.value);
  for (std::uint64_t at = address.value; at < end; at += kPageSize) {
    if (vmas_.containing(at) == nullptr) return fail(Errno::nomem);
    const Pte* pte = table_.entry(VirtAddr(at).vpn());
    pages.push_back(pte != nullptr && !pte->none());
  }
  return pages;
}

// mm/mmap.c: may_expand_vm().
bool AddressSpace::may_expand(VmFlags flags, std::uint64_t pages) const {
  const std::uint64_t bytes = pages << kPageShift;
  const std::uint64_t mapped = statistics_.mapped_pages() << kPageShift;
  if (limits_.address_space != kUnlimited && mapped + bytes > limits_.address_space) return false;
  const bool data = (flags & (kVmWrite | kVmShared | kVmGrowsDown)) == kVmWrite;
  if (limits_.data == kUnlimited || !data) return true;
  std::uint64_t data_pages = 0;
  vmas_.for_each([&](const Vma& vma) {
    if ((vma.flags & (kVmWrite | kVmShared | kVmGrowsDown)) == kVmWrite) data_pages += vma.pages();
  });
  return (data_pages << kPageShift) + bytes <= limits_.data;
}

void AddressSpace::check_invariants() const {
  vmas_.check_invariants();
  table_.check_invariants();
  std::array<std::uint64_t, kVmaTags> resident{};
  std::array<std::uint64_t, kVmaTags> resident_file{};
  std::array<std::uint64_t, kVmaTags> mapped{};
  std::uint64_t entries = 0;
  auto& table = const_cast<PageTable&>(table_);  // for_each hands out entries; this visit only reads
  vmas_.for_each([&](const Vma& vma) {
    const auto tag = static_cast<std::size_t>(vma.tag);
    mapped[tag] += vma.pages();
    table.for_each(vma.start, vma.end, [&](std::uint64_t at, const Pte& pte) {
      ++entries;
      FL_ASSERT(pte.present() == vma.accessible());
      FL_ASSERT(pte.present() != pte.protection_none());
      FL_ASSERT(!pte.writable() || (vma.writable() && !pte.zero_page()));
      if (pte.zero_page()) return;
      const Frame& frame = frames_.at(pte.pfn());
      FL_ASSERT(frame.use == FrameUse::anonymous || frame.use == FrameUse::file);
      FL_ASSERT(frame.use != FrameUse::anonymous || vma.anon_vma != nullptr);
      FL_ASSERT(!pte.writable() || frame.use != FrameUse::anonymous || frame.exclusive);
      FL_ASSERT(frames_.used_by(pte.pfn(), {const_cast<AddressSpace*>(this), VirtAddr(at).vpn()}));
      ++(frame.use == FrameUse::anonymous ? resident : resident_file)[tag];
    });
  });
  FL_ASSERT(entries == table_.count_entries());  // nothing is mapped outside the mappings
  std::uint64_t total = 0;
  for (std::size_t tag = 0; tag < kVmaTags; ++tag) {
    const TagStatistics& counted = statistics_.by_tag[tag];
    FL_ASSERT(counted.resident_pages == resident[tag]);
    FL_ASSERT(counted.resident_file_pages == resident_file[tag]);
    FL_ASSERT(counted.mapped_pages == mapped[tag]);
    std::uint64_t sum = 0;
    for (const std::uint64_t n : counted.faults) sum += n;
    FL_ASSERT(counted.minor_faults == sum);
    total += resident[tag] + resident_file[tag];
  }
  FL_ASSERT(statistics_.resident_pages == total);
  FL_ASSERT(statistics_.peak_resident_pages >= total + statistics_.outside_pages);
  FL_ASSERT(brk_ >= layout_.start_brk.value);
}

}  // namespace faultline::mm
