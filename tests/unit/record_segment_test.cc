// The recorder's side of the shared memory, against a program played by this test.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record/segment.h"

namespace faultline::record {
namespace {

class Program {  // the shim's view
 public:
  explicit Program(const Segment& segment) : welcome_(segment.welcome()) {
    base_ = static_cast<std::uint8_t*>(mmap(nullptr, welcome_.segment_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, segment.descriptor(), 0));
  }
  ~Program() { munmap(base_, welcome_.segment_bytes); }
  wire::RingHeader& ring(std::uint32_t n) { return reinterpret_cast<wire::RingHeader*>(base_ + wire::ring_header_offset())[n]; }
  wire::SegmentHeader& header() { return *reinterpret_cast<wire::SegmentHeader*>(base_); }
  void write(std::uint32_t n, std::uint8_t value, std::uint64_t count) {
    std::uint64_t at = ring(n).written.load();
    for (std::uint64_t i = 0; i < count; ++i, ++at) {
      base_[wire::payload_offset(welcome_.ring_count) + n * welcome_.ring_bytes + at % welcome_.ring_bytes] = value;
    }
    ring(n).written.store(at);
  }

 private:
  wire::Welcome welcome_;
  std::uint8_t* base_;
};

TEST(Segment, DrainsAcrossTheEndOfTheRing) {
  auto segment = Segment::create(getpid(), true);
  ASSERT_TRUE(segment);
  Program program(**segment);
  EXPECT_EQ(program.header().magic, wire::kMagic);
  EXPECT_EQ(program.header().wrapped_calls, 1u);
  program.ring(0).state = wire::kRingOwned;
  program.ring(0).tid = 42;
  std::vector<std::uint8_t> seen, wanted;
  std::uint64_t blocks = 0;
  auto take = [&](std::uint32_t ring, std::int32_t tid, std::uint64_t sequence, std::vector<std::uint8_t>&& bytes) {
    EXPECT_EQ(ring, 0u);
    EXPECT_EQ(tid, 42);
    EXPECT_EQ(sequence, blocks++);
    seen.insert(seen.end(), bytes.begin(), bytes.end());
  };
  for (std::uint8_t round = 1; round <= 9; ++round) {
    program.write(0, round, 300'000);
    wanted.insert(wanted.end(), 300'000, round);
    EXPECT_EQ((*segment)->drain(), 300'000u);
    EXPECT_EQ(program.ring(0).consumed.load(), program.ring(0).written.load());
    (*segment)->flush(round, 0, 0, take);
  }
  EXPECT_EQ(seen, wanted);
  EXPECT_EQ(blocks, 9u);
}

TEST(Segment, HoldsSmallAmountsUntilTheyAreOld) {
  auto segment = Segment::create(getpid(), false);
  ASSERT_TRUE(segment);
  Program program(**segment);
  program.ring(0).state = wire::kRingOwned;
  program.write(0, 1, 10);
  (*segment)->drain();
  int blocks = 0;
  auto take = [&](std::uint32_t, std::int32_t, std::uint64_t, std::vector<std::uint8_t>&&) { ++blocks; };
  (*segment)->flush(1000, 500, 100, take);
  EXPECT_EQ(blocks, 0);
  (*segment)->flush(1499, 500, 100, take);
  EXPECT_EQ(blocks, 0);
  (*segment)->flush(1500, 500, 100, take);
  EXPECT_EQ(blocks, 1);
}

TEST(Segment, RetiredRingsAreFreedOwnedOnesStay) {
  auto segment = Segment::create(getpid(), false);
  ASSERT_TRUE(segment);
  Program program(**segment);
  program.ring(0).state = wire::kRingRetired;
  program.ring(1).state = wire::kRingOwned;
  program.write(0, 1, 10);
  program.write(1, 2, 20);
  EXPECT_EQ((*segment)->drain(), 30u);
  EXPECT_EQ(program.ring(0).state.load(), wire::kRingFree);
  EXPECT_EQ(program.ring(1).state.load(), wire::kRingOwned);
  program.ring(0).state = wire::kRingOwned;  // the next thread
  program.write(0, 3, 5);
  EXPECT_EQ((*segment)->drain(), 5u);
}

TEST(Segment, ACorruptedHeaderIsNotBelieved) {
  auto segment = Segment::create(getpid(), false);
  ASSERT_TRUE(segment);
  Program program(**segment);
  program.ring(0).state = wire::kRingOwned;
  program.ring(0).written = ~std::uint64_t{0} / 2;
  EXPECT_EQ((*segment)->drain(), 0u);
}

}  // namespace
}  // namespace faultline::record
