// Recorded stacks against backtrace(3) of the same program, frame by frame, over random call trees.
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "shim_recorder.h"

namespace faultline::test {
namespace {

class Stacks : public testing::TestWithParam<const char*> {};

TEST_P(Stacks, EqualBacktrace) {
  const char* given = std::getenv("FAULTLINE_SEED");
  const std::string seed = given != nullptr ? given : "20221122";
  SCOPED_TRACE("FAULTLINE_SEED=" + seed);
  RecorderSettings settings;
  settings.ring_bytes = 1 << 20;
  StandInRecorder recorder(settings);
  const RunResult result = recorder.run({GetParam(), seed, "1500"});
  ASSERT_EQ(result.wait_status, 0);
  const auto processes = recorder.finish();
  ASSERT_EQ(processes.size(), 1u);
  const RecordedProcess& p = processes.begin()->second;
  ASSERT_EQ(p.error, "");
  std::map<std::uint64_t, const WireEvent*> by_size;
  for (const auto& e : p.events) {
    if (e.kind == wire::RecordKind::malloc) by_size.emplace(e.size, &e);
  }
  std::istringstream lines(result.output);
  std::size_t compared = 0, wrong = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string tag;
    std::uint64_t size = 0, frame = 0;
    words >> tag >> size;
    ASSERT_EQ(tag, "S");
    std::vector<std::uint64_t> expected;
    while (words >> std::hex >> frame) expected.push_back(frame);
    ASSERT_TRUE(by_size.contains(size)) << size;
    std::vector<std::uint64_t> recorded = by_size[size]->frames;
    ASSERT_GE(recorded.size(), 2u);
    recorded.erase(recorded.begin());
    if (expected.size() > wire::kMaxFrames - 1) expected.resize(wire::kMaxFrames - 1);
    ++compared;
    if (recorded == expected) continue;
    if (++wrong > 3) continue;
    std::ostringstream text;
    for (std::size_t i = 0; i < std::max(expected.size(), recorded.size()); ++i) {
      text << std::hex << (i < expected.size() ? expected[i] : 0) << " " << (i < recorded.size() ? recorded[i] : 0) << "\n";
    }
    ADD_FAILURE() << "block of " << size << " bytes: backtrace(3) and recorded frames\n" << text.str();
  }
  EXPECT_EQ(wrong, 0u) << "of " << compared;
  EXPECT_GT(compared, 2000u);
}

INSTANTIATE_TEST_SUITE_P(Builds, Stacks, testing::Values(SHIM_STACKS_OPTIMISED, SHIM_STACKS_FRAME_POINTERS, SHIM_STACKS_PLAIN));

}  // namespace
}  // namespace faultline::test
