// What the compared blocks of a call site tell of each other.
#include "replay/block_profiles.h"

#include <gtest/gtest.h>

namespace faultline::replay {
namespace {

constexpr trace::StackId kSite = 7;
constexpr std::uint64_t kSize = 4 * 4096;

Extent page(std::uint64_t index) { return {index * 4096, (index + 1) * 4096}; }

BlockProfile block(std::uint32_t birth) { return {.birth = birth, .size = kSize, .last_line = 64}; }

std::uint64_t reach(const BlockProfiles& profiles, std::uint32_t birth, std::uint64_t size = kSize) {
  const BlockProfile* alike = profiles.of_site(kSite, size, birth);
  const auto parts = alike == nullptr ? std::vector<Extent>{} : alike->parts_of(alike->written, {0, size}, size);
  return parts.empty() ? 0 : parts.back().end;
}

// The first text was long, those behind it are short: on their pages the long one's end is still to be seen.
TEST(ReplayBlockProfiles, WhatAnotherBlockLeftThereWasNotWrittenIfTheSiteSeldomComesThatFar) {
  BlockProfiles profiles;
  BlockProfile first = block(1), second = block(2), third = block(3);
  first.written = {page(0)};
  first.untouched = {page(1), page(2), page(3)};
  second.written = {page(0), page(1)};
  second.untouched = {page(2), page(3)};
  third.changed = {{0, 2048}};
  third.same = {page(1)};
  third.untouched = {page(2), page(3)};
  BlockProfile another = third;
  another.birth = 4;
  for (const BlockProfile& profile : {first, second, third, another}) profiles.add(kSite, profile);
  profiles.done();
  EXPECT_FALSE(profiles.seldom_written(kSite, kSize, 5, page(1)));  // one was, one was not
  EXPECT_TRUE(profiles.seldom_written(kSite, kSize, 5, page(2)));
  EXPECT_EQ(reach(profiles, 5), 2 * 4096u);
}

TEST(ReplayBlockProfiles, WhatNobodyWasEverSeenToWriteIsNotWritten) {
  for (const unsigned others : {3u, 4u}) {
    BlockProfiles profiles;
    for (std::uint32_t birth = 1; birth <= others; ++birth) {
      BlockProfile one = block(birth);
      one.changed = {{0, 2048}};
      one.same = {page(1), page(2), page(3)};
      profiles.add(kSite, one);
    }
    profiles.done();
    EXPECT_EQ(profiles.seldom_written(kSite, kSize, 9, page(1)), others == 4);
    EXPECT_EQ(profiles.of_site(kSite, kSize, 9)->unknown.empty(), others == 4);
  }
}

// A block that is written again and again just the same shows it once: on memory that was another site's.
TEST(ReplayBlockProfiles, WhatOneWasSeenToWriteTheOthersMayHaveWrittenAgain) {
  BlockProfiles profiles;
  BlockProfile first = block(1);
  first.written = {page(0), page(1), page(2), page(3)};
  profiles.add(kSite, first);
  for (std::uint32_t birth = 2; birth <= 40; ++birth) {
    BlockProfile one = block(birth);
    one.changed = {{0, 64}};
    one.same = {page(1), page(2), page(3)};
    profiles.add(kSite, one);
  }
  profiles.done();
  EXPECT_FALSE(profiles.seldom_written(kSite, kSize, 41, page(3)));
  EXPECT_EQ(reach(profiles, 41), kSize);  // judged by the first one: of all others something is open
}

TEST(ReplayBlockProfiles, WhatChangedReachesAsFarInFrontAsWhereItIsToBeSeen) {
  BlockProfiles profiles;
  BlockProfile first = block(1), second = block(2);
  first.written = {{3968, 4480}};
  second.changed = {{4352, 4416}};
  profiles.add(kSite, first);
  profiles.add(kSite, second);
  profiles.done();
  EXPECT_EQ(profiles.of_site(kSite, kSize, 2)->written, (std::vector<Extent>{{3968, 4416}}));
}

// 341 cells of 48 bytes in 16,384: 16 are left. Where the last line is short it never changes.
TEST(ReplayBlockProfiles, TheEndOfABlockNobodyFillsIsNotWritten) {
  for (const bool filled : {false, true}) {
    BlockProfiles profiles;
    for (std::uint32_t birth = 1; birth <= 6; ++birth) {
      BlockProfile one = block(birth);
      one.last_line = birth % 3 == 0 ? 48 : 16;
      one.written = {{0, one.last_line == 48 || filled ? kSize : kSize - 16}};
      profiles.add(kSite, one);
    }
    profiles.done();
    EXPECT_EQ(reach(profiles, 9), filled ? kSize : kSize - 16);
    EXPECT_EQ(reach(profiles, 9, kSize + 512), filled ? kSize + 512 : kSize + 512 - 16);  // of another size: the same is left
  }
}

}  // namespace
}  // namespace faultline::replay
