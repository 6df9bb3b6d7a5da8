// BlockMap against an ordered map, on random inserts, erases and interior lookups.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>

#include "analyze/block_map.h"

namespace faultline::analyze {
namespace {

std::uint64_t seed() {
  const char* given = std::getenv("FAULTLINE_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

TEST(BlockMap, AgreesWithAnOrderedMap) {
  const std::uint64_t start = seed();
  SCOPED_TRACE(::testing::Message() << "FAULTLINE_TEST_SEED=" << start);
  std::mt19937_64 random(start);
  for (int round = 0; round < 40; ++round) {
    BlockMap map;
    std::map<std::uint64_t, std::uint64_t> reference;  // start -> bytes
    const auto covering = [&](std::uint64_t address) -> std::uint64_t {
      auto at = reference.upper_bound(address);
      if (at == reference.begin()) return 0;
      --at;
      return address < at->first + std::max<std::uint64_t>(at->second, 1) ? at->first : 0;
    };
    const std::uint64_t span = round % 2 == 0 ? 1 << 16 : 1 << 24;
    for (int step = 0; step < 4000; ++step) {
      const std::uint64_t address = 0x10000 + (random() % span & ~std::uint64_t{7});
      if (random() % 3 != 0) {
        std::uint64_t bytes = 0;
        switch (random() % 4) {
          case 0: bytes = random() % 64; break;
          case 1: bytes = random() % 5000; break;
          case 2: bytes = 4096 * (random() % 40); break;
          default: bytes = 4090 + random() % 12; break;
        }
        const auto next = reference.lower_bound(address);
        if (covering(address) != 0 || (next != reference.end() && next->first < address + std::max<std::uint64_t>(bytes, 1))) continue;
        EXPECT_FALSE(map.insert({address, bytes, 0, 0, 0}, nullptr));
        reference[address] = bytes;
      } else if (!reference.empty()) {
        auto victim = reference.lower_bound(address);
        if (victim == reference.end()) victim = reference.begin();
        Block erased;
        ASSERT_TRUE(map.erase(victim->first, &erased));
        EXPECT_EQ(erased.bytes, victim->second);
        reference.erase(victim);
        EXPECT_FALSE(map.erase(erased.address, nullptr));
      }
      for (int probe = 0; probe < 4; ++probe) {
        const std::uint64_t where = 0x10000 + random() % (span + 100);
        const Block* found = map.containing(where);
        ASSERT_EQ(found != nullptr ? found->address : 0, covering(where)) << std::hex << where;
      }
    }
    map.check_invariants();
    ASSERT_EQ(map.size(), reference.size());
    auto expected = reference.begin();
    for (const Block& block : map.sorted()) EXPECT_EQ(block.address, (expected++)->first);
  }
}

TEST(BlockMap, ASecondBlockAtOneAddressReplacesTheFirst) {
  BlockMap map;
  map.insert({0x1000, 8192, 1, 7, 0}, nullptr);
  Block lost;
  EXPECT_TRUE(map.insert({0x1000, 16, 2, 8, 0}, &lost));
  EXPECT_EQ(lost.site, 7u);
  EXPECT_EQ(map.containing(0x2000), nullptr);
  map.check_invariants();
}

}  // namespace
}  // namespace faultline::analyze
