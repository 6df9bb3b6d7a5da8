// Mappings of a stream are put where Linux would have put them.
#include "replay/limits/mapping_places.h"

#include <gtest/gtest.h>

#include "replay/limits/limited_replay.h"
#include "support/reference_sources.h"

namespace faultline::replay {
namespace {

constexpr std::uint32_t kProgram = 0, kData = 1, kLibrary = 2;

TEST(MappingPlaces, WhatHoldsAHugePageOfAFileLiesLikeTheFile) {
  MappingPlaces places;
  places.map_file(0x400, 5000, kProgram, 0);
  places.map_file(0x4d17, 1100, kData, 3);
  EXPECT_EQ(places.place(0x400), 0x400u) << "the program says itself where it lies";
  EXPECT_EQ(places.place(0x4d17) % 512, 3u);
  EXPECT_EQ(places.place(0x4d17 + 1099), places.place(0x4d17) + 1099);
  EXPECT_EQ(places.place(0x4d16), 0x4d16u);
  EXPECT_EQ(places.place(0x4d17 + 1100), 0x4d17u + 1100);
}

TEST(MappingPlaces, SmallOnesAndAnonymousMemoryStay) {
  MappingPlaces places;
  places.map_file(0x10, 1, kProgram, 0);
  places.map_file(0x5000, 511, kLibrary, 0);
  places.map_file(0x6000, 1000, kLibrary, 100);  // pages 512 to 1,023 are not all there
  places.map_file(0x7001, 924, kLibrary, 100);
  places.map_anonymous(0x9001, 4096);
  EXPECT_EQ(places.place(0x5000), 0x5000u);
  EXPECT_NE(places.place(0x6000), 0x6000u);
  EXPECT_NE(places.place(0x7001), 0x7001u);
  EXPECT_EQ(places.place(0x9001), 0x9001u);
}

TEST(MappingPlaces, PiecesGoWithTheWholeAndAPlaceIsGivenUpWithIt) {
  MappingPlaces places;
  places.map_file(0x10, 1, kProgram, 0);
  places.map_file(0x5001, 1024, kLibrary, 0);
  const std::uint64_t place = places.place(0x5001);
  places.map_file(0x5001 + 700, 100, kLibrary, 690);
  places.map_anonymous(0x5001 + 1000, 24);
  EXPECT_EQ(places.place(0x5001 + 750), place + 750);
  EXPECT_EQ(places.place(0x5001 + 1023), place + 1023);
  places.unmap(0x5001 + 512, 100);
  EXPECT_EQ(places.place(0x5001 + 511), place + 511);
  EXPECT_EQ(places.place(0x5001 + 512), 0x5001u + 512);
  EXPECT_EQ(places.place(0x5001 + 612), place + 612);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> runs;
  places.for_each_run(0x5000, 700, [&](std::uint64_t first, std::uint64_t pages) { runs.emplace_back(first, pages); });
  const std::vector<std::pair<std::uint64_t, std::uint64_t>> expected{{0x5000, 1}, {place, 512}, {0x5001 + 512, 100}, {place + 612, 87}};
  EXPECT_EQ(runs, expected);
}

// A folio that lay across two page tables would be mapped twice.
TEST(MappingPlaces, WhereTheRecorderPutAFileDoesNotMatter) {
  const auto faults = [](std::uint64_t page) {
    std::vector<trace::ReferenceEvent> events;
    events.push_back({.kind = trace::ReferenceKind::map, .protection = 5, .file = kProgram, .page = 0x400, .pages = 10});
    events.push_back({.kind = trace::ReferenceKind::map, .protection = 1, .shared = true, .file = kData, .page = page, .pages = 4096});
    for (std::uint64_t i = 0; i < 4096; ++i) events.push_back({.kind = trace::ReferenceKind::read, .page = page + i});
    trace::VectorSource stream(std::move(events), true);
    stream.files_ = {{"/usr/bin/program", 10}, {"data", 4096}};
    const auto outcome = replay_limited(stream, {});
    EXPECT_TRUE(outcome);
    return std::pair(outcome->minor_faults, outcome->major_faults);
  };
  EXPECT_EQ(faults(0x4d17), faults(0x4e00));
}

}  // namespace
}  // namespace faultline::replay
