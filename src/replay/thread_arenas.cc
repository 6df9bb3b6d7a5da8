#include "replay/thread_arenas.h"

#include "heap/chunk.h"
#include "heap/thread_heaps.h"

namespace faultline::replay {
namespace {

constexpr std::uint64_t kHeap = heap::kThreadHeapBytes;

std::uint64_t base_of(std::uint64_t address) { return heap::align_down(address, kHeap); }

bool is_thread_heap_block(const trace::HeapEvent& event) {
  return (event.flags & (trace::kChunkNonMain | trace::kChunkMmapped)) == trace::kChunkNonMain;
}

// malloc reserves a heap as twice its size, or exactly where it found room before: PROT_NONE, which it never asks for else. What
// comes unaligned of the second kind it gives back at once.
bool reserves_heap(const trace::MemoryCall& call) {
  if (call.kind != trace::CallKind::mmap || call.args[2] != 0 || call.result <= 0) return false;
  return call.args[1] == 2 * kHeap || (call.args[1] == kHeap && base_of(static_cast<std::uint64_t>(call.result)) == static_cast<std::uint64_t>(call.result));
}

}  // namespace

ThreadArenas::Heap& ThreadArenas::add_heap(std::uint64_t base, std::uint32_t arena, std::uint64_t birth_ns) {
  heaps_.push_back({.start = base, .end = base + kHeap, .birth_ns = birth_ns, .area = FaultArea::thread_heap});
  return live_[base] = {arena, heaps_.size() - 1};
}

// A thread without an arena reserves for a new one; any other needs one more heap, for the arena it works in.
void ThreadArenas::reserved(Thread& thread, const trace::HeapEvent& event, std::uint64_t base) {
  std::uint32_t arena = thread.arena;
  const bool changes_block = event.op == trace::HeapOp::realloc || event.op == trace::HeapOp::free;
  if (arena == kUnknownArena) {
    arena = thread.arena = arenas_++;
    thread.freed.clear();
  } else if (const auto own = live_.find(base_of(event.b)); changes_block && own != live_.end()) {
    arena = own->second.arena;
  }
  add_heap(base, arena, event.begin_ns);
}

void ThreadArenas::note(std::uint16_t index, const trace::HeapEvent& event, std::span<const trace::MemoryCall* const> inside) {
  if (index >= threads_.size()) threads_.resize(index + std::size_t{1});
  Thread& thread = threads_[index];
  if (first_) thread.arena = 0;
  first_ = false;
  for (const trace::MemoryCall* call : inside) {
    if (reserves_heap(*call)) {
      reserved(thread, event, heap::align_up(static_cast<std::uint64_t>(call->result), kHeap));
    } else if (call->kind == trace::CallKind::munmap && call->args[1] == kHeap) {
      if (const auto gone = live_.find(call->args[0]); gone != live_.end()) {
        heaps_[gone->second.span].death_ns = event.end_ns;
        live_.erase(gone);
      }
    }
  }
  const bool gives_block = event.op != trace::HeapOp::free && event.op < trace::HeapOp::mallopt && event.result != 0;
  if (gives_block && is_thread_heap_block(event) && !live_.contains(base_of(event.result))) {  // its beginning was not seen
    add_heap(base_of(event.result), thread.arena == kUnknownArena || thread.arena == 0 ? arenas_++ : thread.arena, event.begin_ns);
  }
  if (thread.arena != kUnknownArena) return;
  if (event.op == trace::HeapOp::free) {
    thread.freed.insert(event.b);
  } else if (gives_block && event.op == trace::HeapOp::realloc) {
    // It works in the block's arena. What it left over, at the old place or behind the new end, is in the thread's cache now.
    thread.freed.insert(event.b);
    thread.freed.insert(event.result + heap::chunk_size_for(event.a));
  } else if (gives_block && (event.flags & trace::kChunkMmapped) == 0 && !thread.freed.contains(event.result)) {
    thread.arena = is_thread_heap_block(event) ? live_.at(base_of(event.result)).arena : 0;
    thread.freed.clear();
  }
}

}  // namespace faultline::replay
