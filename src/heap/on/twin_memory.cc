#include "heap/on/twin_memory.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/assert.h"

namespace faultline::heap {

namespace {
constexpr std::uint64_t kHeapReservation = std::uint64_t{1} << 38;  // 256 GiB of modelled heap
}

TwinMemory::TwinMemory(mm::AddressSpace& space, Address initial_brk, std::optional<HostPages> used)
    : space_(space),
      heap_words_(used ? HostPages(std::move(*used), page_floor(initial_brk)) : HostPages(page_floor(initial_brk), kHeapReservation)) {
  if (space_.start_brk().value != initial_brk) space_.set_start_brk(VirtAddr(initial_brk));
  seen_changes_ = space_.page_table().changes();
}

TwinMemory::TwinMemory(mm::AddressSpace& space, const TwinMemory& parent)
    : space_(space), heap_words_(parent.heap_words_), mapped_words_(parent.mapped_words_), placements_(parent.placements_) {
  FL_ASSERT(space_.current_brk() == parent.space_.current_brk());
}

// Around a call that changes what [start, end) of the process's memory is, and nothing of the brk area beside it.
template <typename Call>
auto TwinMemory::changing(Address start, Address end, Call call) {
  if (!up_to_date()) heap_words_.forget_accesses();
  const auto result = call();
  heap_words_.forget_accesses(start, end);
  seen_changes_ = space_.page_table().changes();
  return result;
}

// --- system calls ---

Address TwinMemory::sbrk(std::int64_t delta) {
  // glibc's sbrk(): no call for 0, and a break that did not get there is a failure.
  const Address old = space_.current_brk().value;
  if (delta == 0) return old;
  const Address wanted = old + static_cast<std::uint64_t>(delta);
  if (delta > 0 ? wanted < old : wanted > old) return kFailed;
  if (wanted - heap_words_.base() > heap_words_.size()) return kFailed;
  const Address now = changing(page_ceil(wanted), page_ceil(old), [&] { return space_.brk(VirtAddr(wanted)).value; });
  return now == wanted ? old : kFailed;
}

Address TwinMemory::map(const MapRequest& request) {
  const std::uint64_t length = request.length;
  if (request.huge_page != 0) return kFailed;
  mm::MmapArguments arguments;
  arguments.length = ByteCount(length);
  arguments.tag = mm::VmaTag::mmapped_chunk;
  arguments.address = VirtAddr(request.hint);
  if (request.fixed) arguments.flags |= mm::kMapFixed;
  if (request.protection == Protection::none) {
    arguments.prot = mm::kProtNone;
    arguments.tag = mm::VmaTag::thread_heap;
    arguments.flags |= mm::kMapNoReserve;  // glibc reserves a heap so (new_heap)
  }
  if (!placements_.empty() && !request.fixed) {
    arguments.address = VirtAddr(placements_.front());
    placements_.pop_front();
    arguments.flags |= mm::kMapFixed;
    if (space_.vmas().overlaps(arguments.address.value, arguments.address.value + page_ceil(length))) {
      ++placement_conflicts_;
    }
  }
  const auto placed = changing(arguments.address.value, arguments.address.value + page_ceil(length), [&] { return space_.mmap(arguments); });
  if (!placed) return kFailed;
  mapped_words_.drop(placed->value, placed->value + page_ceil(length));
  return placed->value;
}

bool TwinMemory::unmap(Address address, std::uint64_t length) {
  if (!changing(address, address + page_ceil(length), [&] { return space_.munmap(VirtAddr(address), ByteCount(length)); })) return false;
  mapped_words_.drop(address, address + page_ceil(length));
  return true;
}

Address TwinMemory::remap(Address address, std::uint64_t old_length, std::uint64_t new_length) {
  mm::MremapArguments arguments;
  arguments.address = VirtAddr(address);
  arguments.old_length = ByteCount(old_length);
  arguments.new_length = ByteCount(new_length);
  const std::uint64_t old_end = address + page_ceil(old_length);
  // With a recorded place waiting, a growing mapping goes where it went in reality, be that the place it has.
  const bool placed = !placements_.empty() && page_ceil(new_length) > page_ceil(old_length);
  const Address place = placed ? placements_.front() : 0;
  if (placed) placements_.pop_front();
  if (placed && place != address) {
    arguments.flags = mm::kRemapMayMove | mm::kRemapFixed;
    arguments.new_address = VirtAddr(place);
    if (space_.vmas().overlaps(place, place + page_ceil(new_length))) ++placement_conflicts_;
  } else {
    arguments.flags = mm::kRemapMayMove;
  }
  const auto moved = space_.mremap(arguments);
  if (!up_to_date()) heap_words_.forget_accesses();  // never in the brk area as malloc does it, and rare
  seen_changes_ = space_.page_table().changes();
  if (!moved) return kFailed;
  if (moved->value != address) {
    mapped_words_.move_pages(address, page_ceil(std::min(old_length, new_length)), moved->value);
  }
  if (page_ceil(new_length) < page_ceil(old_length)) mapped_words_.drop(address + page_ceil(new_length), old_end);
  if (placed && moved->value != place) ++placement_conflicts_;
  return moved->value;
}

bool TwinMemory::protect(Address address, std::uint64_t length, Protection protection) {
  const mm::Prot prot = protection == Protection::none ? mm::kProtNone : mm::kProtReadWrite;
  return changing(address, address + page_ceil(length), [&] { return space_.mprotect(VirtAddr(address), ByteCount(length), prot); }).has_value();
}

bool TwinMemory::advise(Address address, std::uint64_t length, Advice advice) {
  const mm::Madvice what = advice == Advice::dont_need ? mm::Madvice::dont_need : mm::Madvice::huge_page;
  return changing(address, address + page_ceil(length), [&] { return space_.madvise(VirtAddr(address), ByteCount(length), what); }).has_value();
}

void TwinMemory::place_next_map_at(Address address) { placements_.push_back(address); }

void TwinMemory::forget_placements() { placements_.clear(); }

// --- accesses ---

// One access. A fault that brings a fresh page takes away what the page held before: the kernel hands out zeroed memory.
bool TwinMemory::access(Address address, bool write) {
  if (!up_to_date()) {
    heap_words_.forget_accesses();
    seen_changes_ = space_.page_table().changes();
  }
  const mm::Access met = space_.access(VirtAddr(address), write);
  if (mm::refused(met)) {
    ++refused_accesses_;
    return false;
  }
  if (met != mm::Access::hit) drop_if_fresh(address);
  if (in_heap_words(address)) heap_words_.note_access(address, write);
  return true;
}

// After a fault.
void TwinMemory::drop_if_fresh(Address address) {
  // Every other path keeps what the page held: a copy after fork, a page of ours that may be written again.
  const mm::FaultPath path = space_.statistics().last_path;
  if (path != mm::FaultPath::anon_zero_fill && path != mm::FaultPath::zero_page) return;
  const mm::Pte* entry = std::as_const(space_).page_table().entry(VirtAddr(address).vpn());
  const bool huge = entry != nullptr && entry->huge();
  const std::uint64_t bytes = huge ? space_.profile().huge_page_size : kPageSize;
  const Address start = address & ~(bytes - 1);
  mapped_words_.drop(start, start + bytes);
  for (Address page = start; page < start + bytes; page += kPageSize) {
    if (in_heap_words(page)) heap_words_.drop(page);
  }
}

std::uint64_t TwinMemory::load_word_slowly(Address address) {
  if (!access(address, false)) return 0;
  return in_heap_words(address) ? heap_words_.load(address) : mapped_words_.load(address);
}

void TwinMemory::store_word_slowly(Address address, std::uint64_t value) {
  if (!access(address, true)) return;
  if (in_heap_words(address)) {
    heap_words_.store(address, value);
  } else {
    mapped_words_.store(address, value);
  }
}

void TwinMemory::touch_pages(Address page, Address last, bool write) {
  for (; page <= last && page != 0; page += kPageSize) {
    if (!known(page, write)) access(page, write);
  }
}

void TwinMemory::clear(Address address, std::uint64_t length) {
  touch(address, length, true);
  if (in_heap_words(address)) {
    heap_words_.clear(address, length);
  } else {
    mapped_words_.clear(address, length);
  }
}

void TwinMemory::copy(Address to, Address from, std::uint64_t length) {
  // Page by page in step, as a forward memcpy goes: the order of faults is part of what is modelled.
  for (std::uint64_t done = 0; done < length;) {
    access(from + done, false);
    access(to + done, true);
    const std::uint64_t to_page_end = kPageSize - (to + done) % kPageSize;
    const std::uint64_t from_page_end = kPageSize - (from + done) % kPageSize;
    done += std::min(to_page_end, from_page_end);
  }
  const bool from_heap = in_heap_words(from);
  const bool to_heap = in_heap_words(to);
  if (from_heap && to_heap) return heap_words_.copy(to, from, length);
  if (!from_heap && !to_heap) return mapped_words_.copy(to, from, length);
  std::vector<std::pair<Address, std::uint64_t>> words;
  if (from_heap) {
    for (Address at = (from + 7) / 8 * 8; at + 8 <= from + length; at += 8) {
      const std::uint64_t value = heap_words_.load(at);
      if (value != 0) words.emplace_back(at, value);
    }
  } else {
    mapped_words_.for_each(from, length, [&](Address at, std::uint64_t value) { words.emplace_back(at, value); });
  }
  if (to_heap) {
    heap_words_.clear(to, length);
  } else {
    mapped_words_.clear(to, length);
  }
  for (const auto& [at, value] : words) {
    const Address target = at - from + to;
    if (to_heap) {
      heap_words_.store(target, value);
    } else {
      mapped_words_.store(target, value);
    }
  }
}

// --- counters ---

TwinMemory::Faults TwinMemory::faults() const {
  const mm::Statistics& counted = space_.statistics();
  return {counted.of(mm::VmaTag::heap).minor_faults, counted.of(mm::VmaTag::mmapped_chunk).minor_faults,
          counted.of(mm::VmaTag::thread_heap).minor_faults};
}

std::uint64_t TwinMemory::resident_heap_pages() const { return space_.statistics().of(mm::VmaTag::heap).resident_pages; }

std::uint64_t TwinMemory::resident_mmapped_pages() const {
  return space_.statistics().of(mm::VmaTag::mmapped_chunk).resident_pages;
}

std::uint64_t TwinMemory::resident_thread_heap_pages() const {
  return space_.statistics().of(mm::VmaTag::thread_heap).resident_pages;
}

std::uint64_t TwinMemory::resident_pages() const {
  return space_.statistics().resident_pages + space_.statistics().outside_pages;
}

std::uint64_t TwinMemory::peak_resident_pages() const { return space_.statistics().peak_resident_pages; }

void TwinMemory::set_rest_pages(std::uint64_t pages) { space_.set_outside_pages(pages); }

bool TwinMemory::resident(Address address) const { return space_.resident(VirtAddr(address)); }

Address TwinMemory::current_break() const { return space_.current_brk().value; }

void TwinMemory::check_invariants() const {
  space_.check_invariants();
  FL_ASSERT(space_.current_brk().value - heap_words_.base() <= heap_words_.size());
  if (!up_to_date()) return;
  for (Address page = heap_words_.base(); page < space_.current_brk().value; page += kPageSize) {
    const mm::Pte* const entry = std::as_const(space_).page_table().entry(VirtAddr(page).vpn());
    if (heap_words_.known_read(page)) FL_ASSERT(entry != nullptr && entry->present() && entry->accessed());
    if (heap_words_.known_written(page)) FL_ASSERT(heap_words_.known_read(page) && entry->writable() && entry->dirty());
  }
}

}  // namespace faultline::heap
