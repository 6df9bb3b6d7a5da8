// Which arena a thread had, where what it does first says little about it.
#include <gtest/gtest.h>

#include <vector>

#include "replay/thread_arenas.h"

namespace faultline::replay {
namespace {

using trace::HeapOp;

constexpr std::uint64_t kHeap = std::uint64_t{64} << 20, kFirst = 100 * kHeap, kSecond = 200 * kHeap;

class Recorded {
 public:
  Recorded() { give(0, 0x1000, 0); }  // the first thread has the main arena

  void give(std::uint16_t thread, std::uint64_t block, std::uint8_t flags = trace::kChunkNonMain, std::vector<trace::MemoryCall> calls = {}) {
    note(thread, {.result = block, .op = HeapOp::malloc, .flags = flags}, calls);
  }
  void free(std::uint16_t thread, std::uint64_t block, std::vector<trace::MemoryCall> calls = {}) {
    note(thread, {.b = block, .op = HeapOp::free, .flags = trace::kChunkNonMain}, calls);
  }
  void reallocate(std::uint16_t thread, std::uint64_t old, std::uint64_t size, std::uint64_t block) {
    note(thread, {.a = size, .b = old, .result = block, .op = HeapOp::realloc, .flags = trace::kChunkNonMain});
  }
  std::uint32_t arena_of(std::uint16_t thread) const { return arenas_.arena_of(thread); }

  static trace::MemoryCall mmap(std::uint64_t length, std::uint64_t result) {
    trace::MemoryCall call;
    call.kind = trace::CallKind::mmap;
    call.args[1] = length;
    call.result = static_cast<std::int64_t>(result);
    return call;
  }
  static trace::MemoryCall munmap(std::uint64_t start, std::uint64_t length) {
    trace::MemoryCall call;
    call.kind = trace::CallKind::munmap;
    call.args[0] = start;
    call.args[1] = length;
    return call;
  }

 private:
  void note(std::uint16_t thread, const trace::HeapEvent& event, const std::vector<trace::MemoryCall>& calls = {}) {
    std::vector<const trace::MemoryCall*> inside;
    for (const trace::MemoryCall& call : calls) inside.push_back(&call);
    arenas_.note(thread, event, inside);
  }

  ThreadArenas arenas_;
};

TEST(ThreadArenas, ReservedHeapsMakeArenas) {
  Recorded recorded;
  recorded.give(1, kFirst + 0x8c0, trace::kChunkNonMain, {Recorded::mmap(2 * kHeap, kFirst - 0x100000)});
  recorded.give(2, kSecond + 0x8c0, trace::kChunkNonMain, {Recorded::mmap(kHeap, kSecond)});
  EXPECT_EQ(recorded.arena_of(1), 1U);
  EXPECT_EQ(recorded.arena_of(2), 2U);
}

TEST(ThreadArenas, ABlockFromTheThreadsCacheSaysNothing) {
  Recorded recorded;
  recorded.give(1, kFirst + 0x8c0, trace::kChunkNonMain, {Recorded::mmap(2 * kHeap, kFirst)});
  recorded.free(2, kFirst + 0x8c0);
  recorded.give(2, kFirst + 0x8c0);
  EXPECT_EQ(recorded.arena_of(2), kUnknownArena);
  recorded.give(2, 0x2000, 0);
  EXPECT_EQ(recorded.arena_of(2), 0U);
}

// A realloc works in the block's arena, and what it cuts off goes into the thread's cache.
TEST(ThreadArenas, WhatAReallocLeftOverSaysNothing) {
  Recorded recorded;
  recorded.give(1, kFirst + 0x8c0, trace::kChunkNonMain, {Recorded::mmap(2 * kHeap, kFirst)});
  recorded.reallocate(2, kFirst + 0x8c0, 186, kFirst + 0x8c0);
  recorded.give(2, kFirst + 0x8c0 + 208);
  EXPECT_EQ(recorded.arena_of(2), kUnknownArena);
  recorded.reallocate(2, kFirst + 0x10000, 500, kFirst + 0x20000);  // moved: the old block is in the cache
  recorded.give(2, kFirst + 0x10000);
  EXPECT_EQ(recorded.arena_of(2), kUnknownArena);
}

// Where malloc found room before is taken meanwhile: the kernel gives another place, malloc gives it back and asks for twice as much.
TEST(ThreadArenas, AnUnalignedReservationIsNoHeap) {
  Recorded recorded;
  recorded.give(1, kFirst + 0x8c0, trace::kChunkNonMain, {Recorded::mmap(2 * kHeap, kFirst)});
  const std::uint64_t elsewhere = kSecond - 0x805000;
  recorded.free(2, kFirst + 0x8c0, {Recorded::mmap(kHeap, elsewhere), Recorded::munmap(elsewhere, kHeap), Recorded::mmap(2 * kHeap, kSecond + kHeap - 0x200000)});
  recorded.give(3, kSecond + 0x9000, trace::kChunkNonMain, {Recorded::mmap(kHeap, kSecond)});  // still free for another arena
  recorded.give(4, kSecond + kHeap + 0x9000);
  EXPECT_EQ(recorded.arena_of(2), 2U);
  EXPECT_EQ(recorded.arena_of(4), 2U);
  EXPECT_EQ(recorded.arena_of(3), 3U);
}

}  // namespace
}  // namespace faultline::replay
