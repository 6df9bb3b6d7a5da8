// The page-fault storms of single-knob settings, predicted from the program's malloc calls alone and measured by running
// the real program under each setting: from one stream of events, every setting within 2 %.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "replay/load.h"
#include "replay/replayer.h"
#include "support/fake_recording.h"

namespace faultline {
namespace {

struct Storm {
  int blocks;
  std::uint64_t size;
  int rounds;
};

const char* const kSettings[] = {
    "",
    "mmap_threshold=4294967296",
    "trim_threshold=4294967296",
    "mmap_max=0",
    "mmap_threshold=4294967296:trim_threshold=4294967296",
    "top_pad=67108864",
    "mmap_max=0:trim_threshold=4294967296",
};

// "a=1:b=2" with each name spelled out, as GLIBC_TUNABLES wants it.
std::vector<std::string> assignments(const std::string& setting) {
  std::vector<std::string> list;
  for (std::size_t at = 0; at < setting.size();) {
    const std::size_t colon = std::min(setting.find(':', at), setting.size());
    list.push_back(setting.substr(at, colon - at));
    at = colon + 1;
  }
  return list;
}

long measured(const Storm& storm, const std::string& setting) {
  std::string tunables;
  for (const std::string& one : assignments(setting)) tunables += (tunables.empty() ? "glibc.malloc." : ":glibc.malloc.") + one;
  const std::string command = "GLIBC_TUNABLES='" + tunables + "' " + std::string(STORM_PROGRAM) + " " + std::to_string(storm.blocks) +
                              " " + std::to_string(storm.size) + " " + std::to_string(storm.rounds) + " 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return -1;
  long faults = -1;
  if (std::fscanf(pipe, "%ld", &faults) != 1) faults = -1;
  pclose(pipe);
  return faults;
}

replay::Program program_of(const Storm& storm) {
  testing::FakeRecording recording;
  for (int round = 0; round < storm.rounds; ++round) {
    std::uint64_t address = 0x555555559000 + 0x2a0;  // any distinct addresses do: a what-if does not look at them
    std::vector<std::uint64_t> live;
    for (int i = 0; i < storm.blocks; ++i, address += storm.size + 4096) {
      recording.malloc(storm.size, address & ~std::uint64_t{15});
      live.push_back(address & ~std::uint64_t{15});
    }
    for (auto block = live.rbegin(); block != live.rend(); ++block) recording.free(*block);
  }
  auto program = replay::load_program(recording, recording.info);
  EXPECT_TRUE(program.has_value());
  return std::move(*program);
}

class PredictStorms : public ::testing::TestWithParam<Storm> {};

TEST_P(PredictStorms, EverySettingWithinTwoPercent) {
  const Storm storm = GetParam();
  const replay::Program program = program_of(storm);
  for (const char* setting : kSettings) {
    heap::Parameters parameters = replay::recorded_parameters(program);
    for (const std::string& one : assignments(setting)) ASSERT_TRUE(parameters.tunables.set(one).has_value()) << one;
    const replay::Prediction predicted = replay::replay(program, parameters, replay::Placement::own);
    const auto faults = static_cast<double>(predicted.heap_minor + predicted.mmapped_minor);
    const auto real = static_cast<double>(measured(storm, setting));
    std::printf("%2d x %8llu  %-52s predicted %9.0f  measured %9.0f\n", storm.blocks,
                static_cast<unsigned long long>(storm.size), *setting ? setting : "default", faults, real);
    ASSERT_GT(real, 0);
    // The program's own few faults (its stack, code pages met for the first time) are in the measurement: 6 at most.
    EXPECT_NEAR(faults, real, 0.02 * real + 6) << setting;
  }
}

INSTANTIATE_TEST_SUITE_P(All, PredictStorms,
                         ::testing::Values(Storm{1, 160 * 1000, 400}, Storm{4, 160 * 1000, 300}, Storm{4, 1000 * 1000, 60},
                                           Storm{1, 40 * 1000 * 1000, 6}));

}  // namespace
}  // namespace faultline
