// heap::TwinMemory: the MemoryProvider over the twin's kernel (mm::AddressSpace). Every word access, clear and copy of
// the allocator goes through the modelled page table and faults there; touch() is the program's own accesses.
//
// Contents: only what the allocator itself stores is kept (chunk headers, list pointers). The program's bytes are not
// modelled. A page whose frame was given back (brk shrink, munmap, MADV_DONTNEED) reads as zero after its next fault,
// because contents are cleared at the zero-fill fault, as the kernel does.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "heap/memory_provider.h"
#include "heap/on/host_pages.h"
#include "heap/on/sparse_words.h"
#include "mm/space/address_space.h"

namespace faultline::heap {

class TwinMemory {
 public:
  // The heap starts at initial_brk (the program break at the first recorded event). Mappings the twin chooses itself
  // go top-down below space.layout().mmap_base, not below its mmap_floor. space outlives this object.
  // used: what take_host_memory() of another one gave, to save the host work.
  TwinMemory(mm::AddressSpace& space, Address initial_brk, std::optional<HostPages> used = std::nullopt);
  // A child's memory after fork: `space` is its copy of the parent's, and the contents are the same.
  TwinMemory(mm::AddressSpace& space, const TwinMemory& parent);
  TwinMemory(const TwinMemory&) = delete;
  TwinMemory& operator=(const TwinMemory&) = delete;

  // MemoryProvider: see heap/memory_provider.h for the meaning of each call.
  std::uint64_t page_size() const { return kPageSize; }
  Address sbrk(std::int64_t delta);
  Address map(const MapRequest& request);  // huge_page: refused, as where none is reserved
  bool unmap(Address address, std::uint64_t length);
  Address remap(Address address, std::uint64_t old_length, std::uint64_t new_length);
  bool protect(Address address, std::uint64_t length, Protection protection);
  bool advise(Address address, std::uint64_t length, Advice advice);
  std::uint64_t load_word(Address address) {
    if (up_to_date() && heap_words_.known_read(address)) [[likely]] return heap_words_.load(address);
    return load_word_slowly(address);
  }
  void store_word(Address address, std::uint64_t value) {
    if (up_to_date() && heap_words_.known_stored(address)) [[likely]] return heap_words_.overwrite(address, value);
    store_word_slowly(address, value);
  }
  void clear(Address address, std::uint64_t length);
  void copy(Address to, Address from, std::uint64_t length);

  // Words in the brk area that will be asked for soon: changes nothing, makes nothing fault. peek: what such a word holds; 0
  // elsewhere.
  void prefetch(Address address) const { heap_words_.prefetch(address); }
  std::uint64_t peek(Address address) const { return in_heap_words(address) ? heap_words_.load(address) : 0; }

  // The program reads or writes [address, address + length): one access per page. length 0 touches nothing.
  // Accesses the kernel would answer with a signal are counted in refused_accesses(), nothing else happens.
  void touch(Address address, std::uint64_t length, bool write) {
    if (length == 0) return;
    const Address last = address + length - 1;
    if (!known(address, write)) [[unlikely]] access(address, write);
    if ((address ^ last) >= kPageSize) touch_pages(page_floor(address) + kPageSize, last, write);
  }

  // Recorded addresses, first in first out: the next map() or growing remap() goes there (a remap() in place is
  // recorded with the address it kept).
  // Where a mapping is in the way it is replaced (reality had no such mapping) and placement_conflicts() counts it.
  void place_next_map_at(Address address);
  void forget_placements();  // what-if after a recorded prefix: choose top-down from now on
  std::uint64_t placements_left() const { return placements_.size(); }
  std::uint64_t placement_conflicts() const { return placement_conflicts_; }

  struct Faults {
    std::uint64_t heap_minor = 0;     // faults on pages of the brk area
    std::uint64_t mmapped_minor = 0;  // faults on pages of mapped chunks
    std::uint64_t thread_heap_minor = 0;  // faults on pages of thread arenas
  };
  Faults faults() const;
  std::uint64_t resident_heap_pages() const;
  std::uint64_t resident_mmapped_pages() const;
  std::uint64_t resident_thread_heap_pages() const;
  std::uint64_t resident_pages() const;       // rest + all anonymous pages of the address space, whatever their tag
  std::uint64_t peak_resident_pages() const;  // the greatest resident_pages() so far
  void set_rest_pages(std::uint64_t pages);   // resident pages of the process that the twin does not hold (libraries, stacks)
  bool resident(Address address) const;       // the page has a frame of its own (the shared zero page does not count)
  std::uint64_t refused_accesses() const { return refused_accesses_; }

  Address current_break() const;
  mm::AddressSpace& space() { return space_; }
  const mm::AddressSpace& space() const { return space_; }
  HostPages take_host_memory() && { return std::move(heap_words_); }
  void check_invariants() const;

 private:
  // What is known of the brk area's pages holds as long as no entry of the page table changed behind our back.
  bool up_to_date() const { return space_.page_table().changes() == seen_changes_; }
  bool known(Address address, bool write) const {
    return up_to_date() && (write ? heap_words_.known_written(address) : heap_words_.known_read(address));
  }
  template <typename Call>
  auto changing(Address start, Address end, Call call);
  bool access(Address address, bool write);
  void drop_if_fresh(Address address);
  bool in_heap_words(Address address) const { return heap_words_.covers(address); }
  std::uint64_t load_word_slowly(Address address);
  void store_word_slowly(Address address, std::uint64_t value);
  void touch_pages(Address page, Address last, bool write);

  mm::AddressSpace& space_;
  std::uint64_t seen_changes_ = 0;
  HostPages heap_words_;     // contents of the brk area: one sparse reservation of the host, outside the twin's accounting
  SparseWords mapped_words_;  // contents of everything else: a few words per mapping
  std::deque<Address> placements_;
  std::uint64_t placement_conflicts_ = 0;
  std::uint64_t refused_accesses_ = 0;
};

}  // namespace faultline::heap
