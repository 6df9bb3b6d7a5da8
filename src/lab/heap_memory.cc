#include "lab/heap_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "lab/quantity.h"

namespace faultline::lab {

using heap::Address;
using heap::kFailed;

std::string signal_of(mm::Access met) {
  if (met == mm::Access::out_of_memory) return "SIGKILL";
  return met == mm::Access::sigbus ? "SIGBUS" : "SIGSEGV";
}

std::string reason_of(const mm::AddressSpace& space, mm::Access met, std::uint64_t address, bool write) {
  if (met == mm::Access::out_of_memory) return "no frame is left: the kernel's OOM killer takes the process";
  if (met == mm::Access::sigbus) return "beyond the end of the file";
  if (address >= space.profile().task_end) return "the kernel's half, or outside every address space";
  const mm::Vma* vma = space.vmas().find(address);
  if (vma == nullptr) return "not mapped";
  if (vma->start > address) {
    return (vma->flags & mm::kVmGrowsDown) != 0 ? "not mapped, and the stack above may not grow that far" : "not mapped";
  }
  if (const mm::Pte* pte = space.page_table().entry(VirtAddr(address).vpn()); pte != nullptr && pte->guard()) return "a guard page";
  if (!vma->accessible()) return "no permission: PROT_NONE";
  return write ? "no permission to write" : "no permission to read";
}

HeapMemory::HeapMemory(mm::AddressSpace& space) : twin_(space, space.start_brk().value) {}

HeapMemory::HeapMemory(mm::AddressSpace& space, const HeapMemory& parent)
    : twin_(space, parent.twin_), stored_(parent.stored_), expected_break_(parent.expected_break_),
      break_failed_(parent.break_failed_) {}

mm::Access HeapMemory::access(std::uint64_t address, bool write) {
  const mm::Statistics& counted = twin_.space().statistics();
  const std::uint64_t refused = twin_.refused_accesses(), minor = counted.minor_faults(), major = counted.major_faults();
  twin_.touch(address, 1, write);
  if (twin_.refused_accesses() != refused) return twin_.space().access(VirtAddr(address), write);  // refused again: which way
  if (counted.major_faults() != major) {
    if (effects_ != nullptr) effects_->fault(address, counted.last_path, true);
    return mm::Access::major_fault;
  }
  if (counted.minor_faults() == minor) return mm::Access::hit;
  if (effects_ != nullptr) effects_->fault(address, counted.last_path, false);
  return mm::Access::minor_fault;
}

void HeapMemory::must_access(Address address, bool write) {
  const mm::Access met = access(address, write);
  if (!mm::refused(met)) return;
  throw Doomed{signal_of(met), fmt::format("malloc {} {:#x}: {}", write ? "writes" : "reads", address,
                                           reason_of(twin_.space(), met, address, write))};
}

// --- system calls ---

Address HeapMemory::sbrk(std::int64_t delta) {
  const Address now = twin_.current_break();
  if (delta == 0) return twin_.sbrk(0);
  if (delta > 0 && now < expected_break_) {
    throw Doomed{"SIGABRT", fmt::format("malloc finds the break at {:#x}, below {:#x} where it left it: \"break adjusted to free malloc space\"",
                                        now, expected_break_)};
  }
  if (break_failed_ && now % 16 != 0) throw Doomed{"SIGABRT", fmt::format("malloc finds the break at {:#x}, not aligned to 16 bytes", now)};
  const Address old = twin_.sbrk(delta);
  const Address wanted = now + static_cast<std::uint64_t>(delta);
  note("brk", fmt::format("brk({:#x}) = {:#x}: {}{} {}", wanted, twin_.current_break(), old == kFailed ? "the break stays, " : "",
                          delta < 0 ? "-" : "+", size_text(static_cast<std::uint64_t>(delta < 0 ? -delta : delta))));
  if (old == kFailed) {
    break_failed_ = true;
    return old;
  }
  expected_break_ = wanted;
  if (delta < 0) stored_.drop(page_ceil(wanted), page_ceil(now));
  return old;
}

Address HeapMemory::map(const heap::MapRequest& request) {
  const std::uint64_t length = request.length;
  const Address placed = twin_.map(request);
  note("mmap", placed == kFailed ? fmt::format("mmap({}) = ENOMEM", size_text(length)) : fmt::format("mmap({}) = {:#x}", size_text(length), placed));
  if (placed != kFailed && !request.fixed && believes_to_own(placed, placed + page_ceil(length))) {
    throw Doomed{"SIGABRT", fmt::format("the kernel gives malloc {:#x}, memory that malloc still believes to own: it was unmapped behind its back", placed)};
  }
  return placed;
}

bool HeapMemory::believes_to_own(std::uint64_t start, std::uint64_t end) const {
  bool any = false;
  stored_.for_each(start, end - start, [&](Address, std::uint64_t value) { any = any || value != 0; });
  return any;
}

bool HeapMemory::unmap(Address address, std::uint64_t length) {
  const bool done = twin_.unmap(address, length);
  note("munmap", fmt::format("munmap({:#x}, {}) = {}", address, size_text(length), done ? "0" : "EINVAL"));
  if (done) stored_.drop(address, address + page_ceil(length));
  return done;
}

Address HeapMemory::remap(Address address, std::uint64_t old_length, std::uint64_t new_length) {
  const Address moved = twin_.remap(address, old_length, new_length);
  const std::string call = fmt::format("mremap({:#x}, {}, {}, MAYMOVE)", address, size_text(old_length), size_text(new_length));
  note("mremap", moved == kFailed ? call + " = ENOMEM" : fmt::format("{} = {:#x}", call, moved));
  if (moved == kFailed) return moved;
  if (moved != address) stored_.move_pages(address, page_ceil(std::min(old_length, new_length)), moved);
  if (new_length < old_length) stored_.drop(address + page_ceil(new_length), address + page_ceil(old_length));
  return moved;
}

bool HeapMemory::protect(Address address, std::uint64_t length, heap::Protection protection) {
  const bool done = twin_.protect(address, length, protection);
  note("mprotect", fmt::format("mprotect({:#x}, {}) = {}", address, size_text(length), done ? "0" : "ENOMEM"));
  return done;
}

bool HeapMemory::advise(Address address, std::uint64_t length, heap::Advice advice) {
  const bool done = twin_.advise(address, length, advice);
  note("madvise", fmt::format("madvise({:#x}, {}, {}) = {}", address, size_text(length),
                              advice == heap::Advice::dont_need ? "DONTNEED" : "HUGEPAGE", done ? "0" : "EINVAL"));
  if (done && advice == heap::Advice::dont_need) stored_.drop(address, address + page_ceil(length));
  return done;
}

// --- malloc's own accesses ---

std::uint64_t HeapMemory::load_word(Address address) {
  if (peeking_) return stored_.load(address);
  must_access(address, false);
  const std::uint64_t value = twin_.load_word(address);
  if (value == stored_.load(address)) return value;
  throw Doomed{"SIGABRT", fmt::format("malloc wrote {:#x} at {:#x} and reads {:#x}: its memory was taken away in between",
                                      stored_.load(address), address, value)};
}

void HeapMemory::store_word(Address address, std::uint64_t value) {
  must_access(address, true);
  twin_.store_word(address, value);
  stored_.store(address, value);
}

void HeapMemory::clear(Address address, std::uint64_t length) {
  if (length == 0) return;
  must_access(address, true);
  for (Address page = page_floor(address) + kPageSize; page < address + length; page += kPageSize) must_access(page, true);
  twin_.clear(address, length);
  stored_.clear(address, length);
}

void HeapMemory::copy(Address to, Address from, std::uint64_t length) {
  for (std::uint64_t done = 0; done < length;) {  // in step, as memcpy goes
    must_access(from + done, false);
    must_access(to + done, true);
    done += std::min(kPageSize - (to + done) % kPageSize, kPageSize - (from + done) % kPageSize);
  }
  twin_.copy(to, from, length);
  std::vector<std::pair<Address, std::uint64_t>> words;
  stored_.for_each(from, length, [&](Address at, std::uint64_t value) { words.emplace_back(at - from + to, value); });
  stored_.clear(to, length);
  for (const auto& [at, value] : words) stored_.store(at, value);
}

}  // namespace faultline::lab
