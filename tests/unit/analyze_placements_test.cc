// What a setting brings where it hangs on the place of the heap, and how a recording tells that this place is drawn at random.
#include "analyze/placements.h"

#include <gtest/gtest.h>
#include <sys/personality.h>

#include <cstdio>
#include <string>

#include "replay/heap_start.h"
#include "replay/load.h"
#include "replay/replayer.h"
#include "replay/smaps.h"
#include "support/fake_recording.h"

namespace faultline::analyze {
namespace {

// Small blocks up to 5 MiB, all written: with huge pages most faults bring 2 MiB, and where the heap begins decides how many do not.
replay::Program growing_program(bool randomised) {
  testing::FakeRecording recording;
  for (std::uint64_t i = 1; i <= 5000; ++i) recording.malloc(1000, i << 32);
  replay::Program program = std::move(*replay::load_program(recording, recording.info));
  program.thp_madvise_bytes = std::uint64_t{2} << 20;
  program.heap_randomised = randomised;
  return program;
}

replay::Prediction predicted(const replay::Program& program, std::vector<heap::OutcomeBox>* boxes = nullptr) {
  return *predict(program, *what_if(program, {"hugetlb=1"}), {}, boxes);
}

TEST(Placements, OneReplayWhereTheHeapIsAlwaysThere) {
  std::vector<heap::OutcomeBox> boxes;
  const replay::Prediction one = predicted(growing_program(false), &boxes);
  EXPECT_EQ(boxes.size(), 1u);
  EXPECT_EQ(one.of_placement.minor_faults, 0);
  const replay::Program program = growing_program(false);
  EXPECT_EQ(one.minor_faults(), replay::replay(program, what_if(program, {"hugetlb=1"})->parameters, replay::Placement::own).minor_faults());
}

TEST(Placements, TheMiddleOfSeveralWhereItIsDrawn) {
  std::vector<heap::OutcomeBox> boxes;
  const replay::Program program = growing_program(true);
  const replay::Prediction middle = predicted(program, &boxes);
  EXPECT_EQ(boxes.size(), 9u);
  EXPECT_GT(middle.of_placement.minor_faults, 0);
  // Any other place lies within what is said, or a little beside it: nine are tried of 512.
  const heap::Parameters parameters = what_if(program, {"hugetlb=1"})->parameters;
  double farthest = 0;
  for (std::uint64_t page = 0; page < 512; page += 37) {
    replay::ReplayPlan plan;
    plan.heap_moved = page << 12;
    const double faults = static_cast<double>(replay::replay(program, parameters, plan)->minor_faults());
    farthest = std::max(farthest, std::abs(faults - static_cast<double>(middle.minor_faults())));
  }
  EXPECT_LE(farthest, middle.of_placement.minor_faults + 57);  // a ninth of the pages of 2 MiB
}

TEST(Placements, WithoutHugePagesThePlaceDoesNotMatter) {
  const replay::Program program = growing_program(true);
  std::vector<heap::OutcomeBox> boxes;
  predict(program, *what_if(program, {"top_pad=1M"}), {}, &boxes);
  EXPECT_EQ(boxes.size(), 1u);
}

std::string output_of(const char* command) {
  std::FILE* const pipe = popen(command, "r");
  std::string text;
  char part[4096];
  for (std::size_t got; pipe != nullptr && (got = fread(part, 1, sizeof part, pipe)) > 0;) text.append(part, got);
  return pipe != nullptr && pclose(pipe) == 0 ? text : std::string();
}

trace::ProcessInfo process_with(const std::string& maps) {
  trace::ProcessInfo process;
  process.start_maps = maps;
  for (const replay::Mapping& mapping : replay::parse_smaps(maps))
    if (mapping.name == "[heap]") process.initial_brk = mapping.start;
  return process;
}

// The kernel is asked: a real process, with and without randomisation.
TEST(HeapStart, TellsARandomHeapFromOneBehindTheProgram) {
  const std::string fixed = output_of("setarch -R cat /proc/self/maps 2>/dev/null"), usual = output_of("cat /proc/self/maps");
  ASSERT_FALSE(usual.empty());
  const bool drawn = (personality(0xffffffff) & ADDR_NO_RANDOMIZE) == 0 && output_of("cat /proc/sys/kernel/randomize_va_space").starts_with('2');
  if (drawn) {
    int random = 0;  // one time in 8192 it is drawn to be where it would be without
    for (int i = 0; i < 3; ++i) random += replay::heap_is_randomised(process_with(output_of("cat /proc/self/maps")));
    EXPECT_GE(random, 2);
  } else {
    EXPECT_FALSE(replay::heap_is_randomised(process_with(usual)));
  }
  if (fixed.empty()) GTEST_SKIP() << "setarch -R is not permitted here";
  EXPECT_FALSE(replay::heap_is_randomised(process_with(fixed)));
  EXPECT_FALSE(replay::heap_is_randomised(trace::ProcessInfo{}));
}

}  // namespace
}  // namespace faultline::analyze
