// The allocator on this process's memory with real mutexes, beside the process's own malloc: threads that exchange blocks,
// begin and end. ThreadSanitizer (the tsan preset) watches the arenas here; in the preloaded library it could not.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "heap/allocator.h"
#include "heap/on/kernel_memory.h"
#include "malloc/kernel_host.h"

namespace faultline::allocator {
namespace {

using heap::Address;
using Heap = heap::Allocator<heap::KernelMemory, KernelHost>;

// The dynamic threshold changes without a lock, as in glibc: fixed here.
heap::Parameters parameters(std::uint64_t arenas) {
  heap::Parameters parameters;
  parameters.cpus_online = 2;
  parameters.tunables.mmap_threshold = 200000;
  parameters.tunables.arena_max = arenas;
  return parameters;
}

struct Block {
  Address at = 0;
  std::uint64_t size = 0;
  unsigned char mark = 0;
};

class Churn {
 public:
  Churn(Heap& heap, std::uint64_t seed) : heap_(heap), seed_(seed * 0x9e3779b97f4a7c15 + 1) {}
  ~Churn() { heap_.thread_exit(thread_); }

  std::uint64_t random() {
    seed_ ^= seed_ << 13;
    seed_ ^= seed_ >> 7;
    return seed_ ^= seed_ << 17;
  }
  void step(Block& block) {
    check(block);
    const std::uint64_t kind = random() % 8;
    if (block.at != 0 && kind < 4) {
      heap_.free(thread_, block.at);
      block = {};
      return;
    }
    const std::uint64_t size = random() % 500 == 0 ? 150000 + random() % 100000 : random() % (std::uint64_t{32} << random() % 10) + 1;
    if (block.at != 0) block.at = heap_.realloc(thread_, block.at, size);
    else if (kind == 5) block.at = heap_.calloc(thread_, 1, size);
    else if (kind == 6) block.at = heap_.memalign(thread_, 256, size);
    else block.at = heap_.malloc(thread_, size);
    ASSERT_NE(block.at, 0U);
    block.size = size;
    block.mark = static_cast<unsigned char>(random());
    std::memset(reinterpret_cast<void*>(block.at), block.mark, size);
  }
  void check(const Block& block) const {
    const auto* const bytes = reinterpret_cast<const unsigned char*>(block.at);
    for (std::uint64_t i = 0; i < block.size; i += 97) ASSERT_EQ(bytes[i], block.mark);
  }

 private:
  Heap& heap_;
  Heap::Thread thread_;
  std::uint64_t seed_;
};

void churn_with(std::uint64_t arenas) {
  heap::KernelMemory memory;
  static std::array<std::mutex, 64> locks;
  std::array<Block, 64> shared{};
  auto heap = std::make_unique<Heap>(memory, parameters(arenas));
  for (int round = 0; round < 4; ++round) {
    std::vector<std::thread> threads;
    for (std::uint64_t i = 0; i < 4; ++i) {
      threads.emplace_back([&, i, round] {
        Churn churn(*heap, i + 10 * static_cast<std::uint64_t>(round) + 1);
        std::array<Block, 32> own{};
        for (int n = 0; n < 4000; ++n) {
          churn.step(own[churn.random() % own.size()]);
          const std::size_t at = churn.random() % shared.size();
          const std::lock_guard lock(locks[at]);
          churn.step(shared[at]);
        }
        for (Block& block : own) {
          while (block.at != 0) churn.step(block);
        }
      });
    }
    heap->malloc_trim(0);
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_LE(heap->arenas().size(), arenas);
}

TEST(KernelHeap, ThreadsInOneArena) { churn_with(1); }
TEST(KernelHeap, ThreadsShareArenas) { churn_with(3); }
TEST(KernelHeap, ThreadsInTheirOwnArenas) { churn_with(8); }

}  // namespace
}  // namespace faultline::allocator
