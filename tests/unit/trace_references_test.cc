// Reference streams on disk: what is written comes back, from whole, cut and damaged files; and the filter of repeats keeps exactly
// what it says.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/reference_sources.h"
#include "trace/references/reference_file.h"
#include "trace/references/reference_writer.h"
#include "trace/references/repeat_filter.h"

namespace faultline::trace {
namespace {

class ReferencesTest : public testing::Test {
 protected:
  ReferencesTest() : path_(std::filesystem::temp_directory_path() / ("faultline-references-" + std::to_string(getpid()))) {}
  ~ReferencesTest() override { std::filesystem::remove(path_); }

  void write(VectorSource& source, std::size_t flush_every = 0) {
    auto writer = ReferenceWriter::create(path_, {"test", "a test", 7, source.has_mappings()});
    ASSERT_TRUE(writer) << writer.error().message();
    if (flush_every == 0) {
      const auto written = write_all(source, *writer);
      ASSERT_TRUE(written) << written.error().message();
      return;
    }
    std::vector<ReferenceEvent> batch(flush_every);
    for (std::size_t count = 0; (count = *source.next(batch)) > 0;) {
      ASSERT_TRUE(writer->add({batch.data(), count}, source));
      ASSERT_TRUE(writer->flush());
    }
    ASSERT_TRUE(writer->finish(source));
  }

  std::string path_;
};

TEST_F(ReferencesTest, WhatIsWrittenComesBackTwice) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    std::vector<ReferenceEvent> events = random_touches(seed, 50'000, 3, true);
    for (ReferenceEvent& event : events)
      if (seed % 4 == 0 && is_touch(event.kind)) event.page *= 0x123456789abcdefu;  // any 64 bits are a page
    VectorSource source(events, true);
    source.files_ = {{"/a", 10}, {std::string("\xff\0b", 3), 0}, {"", ~std::uint64_t{0}}, {"/d", 1}};
    source.processes_ = {{1, "one"}, {2, "two words"}, {3, ""}};
    source.remarks_ = {"something was not followed"};
    write(source, seed % 2 == 0 ? 0 : 7'000);
    auto file = ReferenceStreamFile::open(path_);
    ASSERT_TRUE(file) << file.error().message();
    EXPECT_EQ((*file)->files(), source.files_);
    EXPECT_EQ((*file)->processes(), source.processes_);
    EXPECT_EQ((*file)->remarks(), source.remarks_);
    EXPECT_EQ((*file)->origin().format, "test");
    EXPECT_EQ((*file)->window(), 7u);
    EXPECT_TRUE((*file)->has_mappings());
    EXPECT_EQ((*file)->events(), events.size());
    EXPECT_FALSE((*file)->damage());
    ASSERT_EQ(drain(**file, 777), events) << "seed " << seed;
    ASSERT_TRUE((*file)->rewind());
    ASSERT_EQ(drain(**file, 1), events) << "seed " << seed;
  }
}

TEST_F(ReferencesTest, MorePagesThanTheDictionaryHolds) {
  std::mt19937_64 random(5);
  std::vector<ReferenceEvent> events;
  for (std::size_t i = 0; i < 300'000; ++i) events.push_back(touch(ReferenceKind::read, random() % (i % 100'000 < 50'000 ? 12'000 : 70'000)));
  VectorSource source(events);
  write(source);
  EXPECT_EQ(drain(**ReferenceStreamFile::open(path_)), events);
}

TEST_F(ReferencesTest, ACutFileReadsUpToItsLastWholeBlock) {
  const std::vector<ReferenceEvent> events = random_touches(3, 20'000, 2, true);
  VectorSource source(events, true);
  write(source, 1000);
  const auto size = std::filesystem::file_size(path_);
  std::vector<std::size_t> lengths;
  for (auto length = size; length-- > 0; length -= std::min<std::uintmax_t>(length, 97)) {
    std::filesystem::resize_file(path_, length);
    auto file = ReferenceStreamFile::open(path_);
    if (length < 16) {
      EXPECT_FALSE(file);
      continue;
    }
    ASSERT_TRUE(file) << length << ": " << file.error().message();
    EXPECT_TRUE((*file)->damage()) << length;
    const auto got = drain(**file);
    EXPECT_EQ(got.size() % 1000, 0u);
    EXPECT_EQ(got.size(), (*file)->events());
    ASSERT_TRUE(std::equal(got.begin(), got.end(), events.begin()));
    lengths.push_back(got.size());
  }
  EXPECT_EQ(lengths.front(), events.size());
  EXPECT_EQ(lengths.back(), 0u);
}

TEST_F(ReferencesTest, AFlippedByteIsOneErrorAndNeverAnotherStream) {
  const std::vector<ReferenceEvent> events = random_touches(4, 5'000, 1, true);
  VectorSource source(events, true);
  write(source, 1000);
  std::string bytes((std::istreambuf_iterator<char>(*std::make_unique<std::ifstream>(path_, std::ios::binary))), {});
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    std::string damaged = bytes;
    damaged[16 + random() % (bytes.size() - 16)] ^= static_cast<char>(1u << random() % 8);
    std::ofstream(path_, std::ios::binary) << damaged;
    auto file = ReferenceStreamFile::open(path_);
    if (!file) continue;
    const auto got = drain(**file);
    ASSERT_LE(got.size(), events.size());
    ASSERT_TRUE(std::equal(got.begin(), got.end(), events.begin())) << i;
    EXPECT_TRUE((*file)->damage() || got.size() < events.size());
  }
}

TEST_F(ReferencesTest, AnyPayloadGivesEventsOrAnError) {
  ReferenceEncoder encoder;
  for (const ReferenceEvent& event : random_touches(9, 3'000, 4, true)) encoder.add(event);
  const std::vector<std::uint8_t> sound = encoder.take();
  std::mt19937 random(2);
  for (int i = 0; i < 3'000; ++i) {
    std::vector<std::uint8_t> payload = sound;
    for (unsigned flips = 1 + random() % 4; flips-- > 0;) payload[random() % payload.size()] = static_cast<std::uint8_t>(random());
    if (i % 5 == 0) payload.resize(random() % payload.size());
    ReferenceDecoder decoder;
    if (!decoder.begin(std::move(payload))) continue;
    std::vector<ReferenceEvent> buffer(100);
    for (std::size_t most = 0; most < 1'000; ++most) {
      const auto count = decoder.next(buffer);
      if (!count || *count == 0) break;
    }
    ReferenceNames names;
    std::vector<std::uint8_t> noise(random() % 60);
    for (std::uint8_t& byte : noise) byte = static_cast<std::uint8_t>(random() % (i % 2 == 0 ? 256 : 6));
    (void)decode_names(noise, names);
    (void)decode_origin(noise);
  }
}

TEST_F(ReferencesTest, OtherFilesAreRefused) {
  std::ofstream(path_) << "R 1000\n";
  EXPECT_FALSE(ReferenceStreamFile::is_one(path_));
  EXPECT_FALSE(ReferenceStreamFile::open(path_));
  const auto writer = ReferenceWriter::create(path_, {});
  ASSERT_FALSE(writer);
  EXPECT_NE(writer.error().message().find("not overwritten"), std::string::npos) << writer.error().message();
  { ASSERT_TRUE(BlockWriter::create(path_ + ".fl")); }
  const auto recording = ReferenceStreamFile::open(path_ + ".fl");
  ASSERT_FALSE(recording);
  EXPECT_NE(recording.error().message().find("found a faultline recording"), std::string::npos) << recording.error().message();
  std::filesystem::remove(path_ + ".fl");
}

std::vector<ReferenceEvent> filtered(const std::vector<ReferenceEvent>& events, std::uint32_t window, std::uint64_t* dropped = nullptr) {
  FilteredSource source(std::make_unique<VectorSource>(events), window);
  std::vector<ReferenceEvent> kept = drain(source, 333);
  if (dropped != nullptr) *dropped = source.dropped();
  EXPECT_TRUE(source.rewind());
  EXPECT_EQ(drain(source), kept);
  return kept;
}

TEST(RepeatFilterTest, MissesOfLruAndOptAreTheSame) {
  for (std::uint32_t seed = 1; seed <= 12; ++seed) {
    const std::vector<ReferenceEvent> events = random_touches(seed, 4'000, 1 + seed % 3);
    for (const std::uint32_t window : {1u, 2u, 3u, 8u, 64u, 300u}) {
      std::uint64_t dropped = 0;
      const std::vector<ReferenceEvent> kept = filtered(events, window, &dropped);
      ASSERT_EQ(kept.size() + dropped, events.size());
      for (const std::size_t size : {window, window + 1, window + 7, 2 * window, 1000u}) {
        ASSERT_EQ(lru_misses(kept, size), lru_misses(events, size)) << "seed " << seed << " window " << window << " memory " << size;
        ASSERT_EQ(opt_misses(kept, size), opt_misses(events, size)) << "seed " << seed << " window " << window << " memory " << size;
      }
    }
  }
}

TEST(RepeatFilterTest, KindsSurviveAndCallsStayInPlace) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    const std::vector<ReferenceEvent> events = random_touches(seed, 20'000, 3, true);
    const std::vector<ReferenceEvent> kept = filtered(events, 16);
    // Between two calls each page of each process is touched in the same ways, first and last alike.
    using Seen = std::map<std::pair<std::uint32_t, std::uint64_t>, std::set<ReferenceKind>>;
    const auto stretches = [](const std::vector<ReferenceEvent>& list) {
      std::vector<Seen> all(1);
      std::vector<ReferenceEvent> calls;
      for (const ReferenceEvent& event : list) {
        if (is_touch(event.kind)) all.back()[{event.process, event.page}].insert(event.kind);
        else calls.push_back(event), all.emplace_back();
      }
      // A read of a page that is written or executed too need not be told.
      for (Seen& seen : all)
        for (auto& [page, kinds] : seen)
          if (kinds.size() > 1) kinds.erase(ReferenceKind::read);
      return std::pair(all, calls);
    };
    ASSERT_EQ(stretches(kept), stretches(events)) << "seed " << seed;
    // Nothing is invented: what is kept is a subsequence.
    std::size_t at = 0;
    for (const ReferenceEvent& event : events)
      if (at < kept.size() && (kept[at] == event)) ++at;
    EXPECT_EQ(at, kept.size()) << "seed " << seed;
  }
}

TEST(RepeatFilterTest, ALoopOverFewPagesCostsNothing) {
  std::vector<ReferenceEvent> events;
  for (int i = 0; i < 10'000; ++i) events.push_back(touch(ReferenceKind::read, static_cast<std::uint64_t>(i % 64)));
  EXPECT_EQ(filtered(events, 64).size(), 128u);  // first and last of each
  EXPECT_EQ(filtered(events, 1).size(), 10'000u);
  std::vector<ReferenceEvent> same(1000, touch(ReferenceKind::write, 5));
  EXPECT_EQ(filtered(same, 1).size(), 1u);
}

}  // namespace
}  // namespace faultline::trace
