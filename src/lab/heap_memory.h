// HeapMemory: the memory under a lab process's malloc: TwinMemory, with every system call and every fault noted.
//
// A script may take memory away from under malloc (munmap, MADV_DONTNEED, a lower break). A real malloc then reads words it
// never wrote, and crashes or aborts. Here every word malloc stored is remembered, and the first access that is refused or
// reads something else throws Doomed: the process dies there.
#pragma once

#include <string>

#include "heap/on/sparse_words.h"
#include "heap/on/twin_memory.h"
#include "lab/effects.h"
#include "mm/machine/process.h"

namespace faultline::lab {

struct Doomed {
  std::string signal;  // SIGSEGV, SIGABRT, SIGKILL, SIGBUS
  std::string why;
};

// Why the processor or the kernel refuses an access that AddressSpace refused: "not mapped", "no permission ...".
std::string reason_of(const mm::AddressSpace& space, mm::Access met, std::uint64_t address, bool write);
std::string signal_of(mm::Access met);

class HeapMemory {
 public:
  // process: where faults are counted. Its address space is the twin's.
  explicit HeapMemory(mm::AddressSpace& space);
  HeapMemory(mm::AddressSpace& space, const HeapMemory& parent);  // after fork
  void report_to(Effects* effects) { effects_ = effects; }

  // One access of the program; a fault is noted.
  mm::Access access(std::uint64_t address, bool write);

  // MemoryProvider.
  std::uint64_t page_size() const { return kPageSize; }
  heap::Address sbrk(std::int64_t delta);
  heap::Address map(const heap::MapRequest& request);
  bool unmap(heap::Address address, std::uint64_t length);
  heap::Address remap(heap::Address address, std::uint64_t old_length, std::uint64_t new_length);
  bool protect(heap::Address address, std::uint64_t length, heap::Protection protection);
  bool advise(heap::Address address, std::uint64_t length, heap::Advice advice);
  std::uint64_t load_word(heap::Address address);
  void store_word(heap::Address address, std::uint64_t value);
  void clear(heap::Address address, std::uint64_t length);
  void copy(heap::Address to, heap::Address from, std::uint64_t length);

  const mm::AddressSpace& space() const { return twin_.space(); }

  // While one exists the heap reads what it believes its memory to hold, and touches no page: for looking at it.
  class Peek {
   public:
    explicit Peek(HeapMemory& memory) : memory_(memory) { memory_.peeking_ = true; }
    ~Peek() { memory_.peeking_ = false; }
    Peek(const Peek&) = delete;
    Peek& operator=(const Peek&) = delete;

   private:
    HeapMemory& memory_;
  };

 private:
  bool believes_to_own(std::uint64_t start, std::uint64_t end) const;
  void must_access(heap::Address address, bool write);
  void note(const char* name, std::string text) {
    if (effects_ != nullptr) effects_->call(name, std::move(text));
  }

  heap::TwinMemory twin_;
  heap::SparseWords stored_;          // what malloc wrote and has not given back
  std::uint64_t expected_break_ = 0;  // as malloc left it; 0 before it moved the break
  bool break_failed_ = false;
  bool peeking_ = false;
  Effects* effects_ = nullptr;
};

}  // namespace faultline::lab
