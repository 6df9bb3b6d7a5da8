// The mappings of the recorded process as they were at one moment: /proc/PID/maps at the start, then every recorded
// brk, mmap, munmap and mremap in order.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <utility>

#include "analyze/region.h"
#include "trace/event.h"

namespace faultline::analyze {

class AddressMap {
 public:
  // brk_recorded: the calls that will be applied include the allocator's brk calls.
  AddressMap(const trace::ProcessInfo& process, std::span<const trace::Module> modules, bool brk_recorded);

  void apply(const trace::MemoryCall& call);
  Region region(std::uint64_t address) const;  // heap_free for anything in the brk heap or a thread arena

  // A block with HeapFlag::kChunkNonMain was seen: its 64 MiB-aligned heap (glibc HEAP_MAX_SIZE) is a thread arena.
  void note_thread_arena(std::uint64_t address);
  // A block of the main arena was seen: without recorded brk calls this is how the heap's extent is learnt.
  void note_main_block(std::uint64_t chunk_end);

  std::uint64_t heap_start() const { return heap_start_; }
  std::uint64_t heap_end() const { return heap_end_; }    // the program break
  bool in_main_heap(std::uint64_t address) const { return address >= heap_start_ && address < heap_end_; }

 private:
  struct Mapping {
    std::uint64_t end;
    Region region;
  };
  std::map<std::uint64_t, Mapping> mappings_;     // by start, disjoint
  std::map<std::uint64_t, std::uint64_t> arenas_;  // 64 MiB heaps of thread arenas: start -> end
  std::map<std::uint64_t, std::uint64_t> modules_;
  std::map<std::uint64_t, std::uint64_t> recorder_;
  std::uint64_t heap_start_ = 0, heap_end_ = 0;
  std::uint64_t stack_low_ = 0, stack_end_ = 0;
  bool brk_recorded_ = false;

  void read_maps(std::string_view text);
  void set(std::uint64_t start, std::uint64_t end, Region region);
  void erase(std::uint64_t start, std::uint64_t end);
};

}  // namespace faultline::analyze
