// Accounting and pins of heaps whose answer is known by construction.
#include <gtest/gtest.h>

#include <map>

#include "heap/on/flat_memory.h"
#include "heap/pins.h"

namespace faultline::heap {
namespace {

class Program {
 public:
  Address malloc(std::uint64_t size, OwnerId owner, ThreadId thread = 1) {
    const Address user = heap_.malloc(thread, size);
    blocks_[user] = {size, owner};
    return user;
  }
  void free(Address user, ThreadId thread = 1) {
    heap_.free(thread, user);
    blocks_.erase(user);
  }
  HeapImage image(bool resident = true) {
    return image_of(
        heap_, memory_.sbrk(0),
        [&](Address user) {
          const auto found = blocks_.find(user);
          return found == blocks_.end() ? std::nullopt : std::optional(found->second);
        },
        [=](Address) { return resident; });
  }
  Heap<FlatMemory>& heap() { return heap_; }

 private:
  FlatMemory memory_;
  Heap<FlatMemory> heap_{memory_, {}};
  std::map<Address, BlockFacts> blocks_;
};

TEST(HeapAccounting, EveryByteOfASmallHeapIsInItsPart) {
  Program program;
  program.malloc(100, 7);                                  // chunk of 112
  const Address cached = program.malloc(50, 7);            // 64
  const Address binned = program.malloc(20000, 7);         // 20016
  program.malloc(24, 8);                                   // 32, so that it is not merged into top
  const Address mapped = program.malloc(200000, 9);
  program.free(cached);
  program.free(binned);
  EXPECT_NE(mapped, 0U);
  const Accounting all = account(program.image());
  const ArenaAccount& main = all.arenas[0];
  EXPECT_EQ(main.system_mem, 0x21000U);
  EXPECT_EQ(main[Part::live].bytes, 124U);
  EXPECT_EQ(main[Part::rounding].bytes, 12U + 8U);
  EXPECT_EQ(main[Part::tcache].bytes, 64U);
  EXPECT_EQ(main[Part::own].bytes, 0x290U);
  // The free chunk lies in [0x340, 0x5170): four whole pages from 0x1000 on.
  EXPECT_EQ(main[Part::trimmable].bytes, 0x4000U);
  EXPECT_EQ(main[Part::pinned].bytes, 20016U - 0x4000U);
  EXPECT_EQ(main[Part::top_trimmable].bytes + main[Part::top_kept].bytes, 0x21000U - 0x5190U);
  EXPECT_EQ(main[Part::top_kept].bytes, 0x6000U - 0x5190U);
  EXPECT_EQ(main.sum().resident, 0x21000U);
  EXPECT_EQ(all.mapped.mapped_bytes, 0x31000U);
  EXPECT_EQ(all.mapped.live.bytes, 200000U);
  EXPECT_EQ(account(program.image(false)).total.sum().resident, 0U);
}

TEST(HeapPins, TheHighestBlockHoldsWhatIsFreeBelowIt) {
  Program program;
  program.malloc(100, 1);
  std::vector<Address> bulk;
  for (int i = 0; i < 50; ++i) bulk.push_back(program.malloc(100000, 2));
  const Address pin = program.malloc(2000, 3);
  for (const Address block : bulk) program.free(block);
  const Pins pins = pins_of(program.image());
  ASSERT_EQ(pins.ends.size(), 1U);
  EXPECT_EQ(pins.ends[0].highest, pin);
  EXPECT_EQ(pins.ends[0].highest_bytes, 2000U);
  ASSERT_EQ(pins.ends[0].owners.size(), 1U);
  EXPECT_EQ(pins.ends[0].owners[0].owner, 3U);
  EXPECT_EQ(pins.ends[0].held.bytes, 50U * 100016);
  const std::uint64_t before = program.heap().state().system_mem;
  program.free(pin);  // nothing else
  EXPECT_EQ(before - program.heap().state().system_mem, pins.ends[0].fall_bytes);
  EXPECT_TRUE(pins_of(program.image()).ends.empty());
}

TEST(HeapPins, AThreadArenasBlockHoldsItsHeap) {
  Program program;
  program.malloc(100, 1);
  std::vector<Address> bulk;
  for (int i = 0; i < 50; ++i) bulk.push_back(program.malloc(100000, 2, 2));
  const Address pin = program.malloc(2000, 3, 2);
  for (const Address block : bulk) program.free(block, 2);
  const Pins pins = pins_of(program.image());
  ASSERT_EQ(pins.ends.size(), 1U);
  EXPECT_EQ(pins.ends[0].arena, 1U);
  EXPECT_EQ(pins.ends[0].highest, pin);
  const std::uint64_t before = program.heap().state(1).system_mem;
  program.free(pin, 2);
  EXPECT_EQ(before - program.heap().state(1).system_mem, pins.ends[0].fall_bytes);
  EXPECT_GT(pins.ends[0].fall_bytes, 4000000U);
}

TEST(HeapPins, AHeapFullOfDataIsNoPin) {
  Program program;
  std::vector<Address> bulk;
  for (int i = 0; i < 10; ++i) bulk.push_back(program.malloc(100000, 2));
  for (int i = 0; i < 20; ++i) program.malloc(100000, 3);
  for (const Address block : bulk) program.free(block);
  EXPECT_TRUE(pins_of(program.image()).ends.empty());
}

TEST(HeapPins, BlocksOfEveryPageHoldTheRestOfIt) {
  Program program;
  std::vector<Address> freed;
  for (int i = 0; i < 4000; ++i) {
    const Address block = program.malloc(1500, i % 4 == 0 ? 5 : 6);
    if (i % 4 != 0) freed.push_back(block);
  }
  for (const Address block : freed) program.free(block);
  const HeapImage image = program.image();
  const Pins pins = pins_of(image);
  ASSERT_EQ(pins.pages.size(), 1U);
  EXPECT_EQ(pins.pages[0].blocks.owner, 5U);
  EXPECT_EQ(pins.pages[0].blocks.blocks, 1000U);
  EXPECT_EQ(pins.pages[0].blocks.bytes, 1500U * 1000);
  EXPECT_EQ(pins.pages[0].held.bytes, account(image).total[Part::pinned].bytes);
  // Without them everything between the first block and top is one free stretch.
  EXPECT_GT(pins.pages[0].gain_bytes, 4000U * 1500 - account(image).total[Part::trimmable].bytes - 3 * 4096);
}

}  // namespace
}  // namespace faultline::heap
