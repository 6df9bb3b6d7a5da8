// Looking at the heap while a program is replayed: at every event it adds up, and looking changes nothing.
#include <gtest/gtest.h>

#include <random>

#include "heap/accounting.h"
#include "replay/heap_looks.h"
#include "replay/load.h"
#include "replay/replayer.h"
#include "support/fake_recording.h"

namespace faultline::replay {
namespace {

using heap::Part;
using testing::FakeRecording;

constexpr std::uint64_t kSomewhere = std::uint64_t{1} << 32;  // made up: the replay finds its own

Program load(FakeRecording& recording) {
  recording.meta_data.calls_exact = false;
  auto program = load_program(recording, recording.info);
  EXPECT_TRUE(program.has_value()) << (program ? "" : program.error().message());
  return std::move(*program);
}

ReplayPlan plan_with(HeapLooks& looks) {
  ReplayPlan plan;
  plan.looks = &looks;
  return plan;
}

TEST(HeapLooks, ABlocksOwnerIsTheStackItCameFrom) {
  FakeRecording recording;
  recording.malloc(1000, kSomewhere).stack = 5;
  recording.malloc(3000, 2 * kSomewhere).stack = 6;
  recording.free(kSomewhere);
  recording.malloc(500, 3 * kSomewhere).stack = 7;
  const Program program = load(recording);
  HeapLooks looks;
  looks.wanted = {0, 2, 3, HeapLooks::kEnd};
  ASSERT_TRUE(replay(program, recorded_parameters(program), plan_with(looks)));
  ASSERT_EQ(looks.seen.size(), 4U);
  EXPECT_TRUE(looks.seen[0].image.pieces.empty());
  const auto owners = [&](std::size_t look) {
    std::vector<heap::OwnerId> found;
    for (const heap::ImageChunk& chunk : looks.seen[look].image.pieces.at(0).chunks) {
      if (chunk.use == heap::ChunkUse::live) found.push_back(chunk.owner);
    }
    return found;
  };
  EXPECT_EQ(owners(1), (std::vector<heap::OwnerId>{5, 6}));
  EXPECT_EQ(owners(2), (std::vector<heap::OwnerId>{6}));
  EXPECT_EQ(owners(3), (std::vector<heap::OwnerId>{6, 7}));
  EXPECT_EQ(looks.seen[3].event, 4U);
  EXPECT_EQ(heap::account(looks.seen[1].image).total[Part::live].bytes, 4000U);
  EXPECT_EQ(heap::account(looks.seen[2].image).total[Part::tcache].bytes, 1008U);
}

TEST(HeapLooks, AddsUpAtEveryEventAndChangesNothing) {
  FakeRecording recording;
  std::mt19937_64 random(7);
  std::vector<std::uint64_t> live;
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t i = 1; i <= 600; ++i) {
    if (live.size() > 20 && random() % 2 == 0) {
      const std::size_t at = random() % live.size();
      recording.free(live[at]);
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(at));
      continue;
    }
    recording.malloc(random() % 8 == 0 ? random() % 300'000 : random() % 3000, i * kSomewhere, 100 + static_cast<trace::Tid>(random() % 3)).stack = i % 5;
    live.push_back(i * kSomewhere);
  }
  const Program program = load(recording);
  const Prediction alone = *replay(program, recorded_parameters(program), ReplayPlan{});
  HeapLooks looks;
  for (std::size_t event = 0; event <= program.events.size(); ++event) looks.wanted.push_back(event);
  const Prediction watched = *replay(program, recorded_parameters(program), plan_with(looks));
  EXPECT_EQ(watched.minor_faults(), alone.minor_faults());
  EXPECT_EQ(watched.rss_peak_bytes, alone.rss_peak_bytes);
  EXPECT_EQ(watched.calls.total(), alone.calls.total());
  ASSERT_EQ(looks.seen.size(), program.events.size() + 1);
  std::uint64_t most = 0;
  for (const HeapLook& look : looks.seen) {
    const heap::Accounting account = heap::account(look.image);  // asserts that it adds up
    most = std::max(most, account.total.sum().resident + account.mapped.live.resident + account.mapped.rounding.resident);
  }
  EXPECT_EQ(most, looks.peak_resident_pages << kPageShift);  // nothing but malloc is in this process
  EXPECT_EQ(watched.rss_end_bytes, heap::account(looks.seen.back().image).total.sum().resident +
                                       heap::account(looks.seen.back().image).mapped.live.resident +
                                       heap::account(looks.seen.back().image).mapped.rounding.resident);
}

TEST(HeapLooks, AReplayForOneLookEndsThere) {
  FakeRecording recording;
  for (std::uint64_t i = 1; i < 10; ++i) recording.malloc(100, i * kSomewhere);
  const Program program = load(recording);
  HeapLooks looks;
  looks.wanted = {4};
  looks.only = true;
  EXPECT_FALSE(replay(program, recorded_parameters(program), plan_with(looks)));
  ASSERT_EQ(looks.seen.size(), 1U);
  EXPECT_EQ(looks.addresses_total, 4U);
}

}  // namespace
}  // namespace faultline::replay
