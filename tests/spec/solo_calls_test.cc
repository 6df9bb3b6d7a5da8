// Random programs of one process with every memory call, every advice and limits, on this kernel and on the twin, compared
// after every call: result, errno, signals and faults, the mappings, the state of every page; at the end of each program
// what /proc/PID/status counts.
//
// FAULTLINE_MM_PROGRAMS: how many (default 20000). FAULTLINE_MM_SEED: the first seed (default 1).
// FAULTLINE_MM_SECONDS: instead of a number, how long.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "solo/campaign.h"

namespace faultline::spec {
namespace {

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

void run_all(const Shape& shape, std::uint64_t otherwise) try {
  const std::uint64_t programs = setting("FAULTLINE_MM_PROGRAMS", otherwise);
  const std::uint64_t seconds = setting("FAULTLINE_MM_SECONDS", 0);
  const std::uint64_t first = setting("FAULTLINE_MM_SEED", 1);
  solo::Campaign campaign(shape);
  std::uint64_t different = 0;
  const auto report = [&](std::uint64_t seed, const Program& program) {
    if (++different > 3) return;
    const std::string whole = campaign.compare(program);
    if (whole.empty()) {
      ADD_FAILURE() << fmt::format("seed {}: differed after others and not alone\n{}{}", seed, campaign.in_batch(), to_text(program));
      return;
    }
    const Program small = campaign.shrink(program);
    ADD_FAILURE() << fmt::format("seed {}:\n{}\nfor tests/spec/corpus/solo:\n{}", seed, campaign.compare(small), to_text(small));
  };
  const auto begin = std::chrono::steady_clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  std::uint64_t seed = first;
  if (seconds != 0) {
    for (; elapsed() < static_cast<double>(seconds) && different <= 3; seed += 1000) campaign.run(seed, 1000, report);
  } else {
    for (; seed < first + programs && different <= 3; seed += 1000) campaign.run(seed, std::min<std::uint64_t>(1000, first + programs - seed), report);
  }
  std::printf("seeds from %llu: %llu programs, %llu calls, %llu differences, %.1f s, %.0f programs/s\n",
              static_cast<unsigned long long>(first), static_cast<unsigned long long>(campaign.programs()),
              static_cast<unsigned long long>(campaign.calls()), static_cast<unsigned long long>(different), elapsed(),
              static_cast<double>(campaign.programs()) / elapsed());
  EXPECT_EQ(different, 0u) << "programs that differ, of " << campaign.programs();
} catch (const std::runtime_error& error) {
  GTEST_SKIP() << "SKIPPED: " << error.what();
}

TEST(SoloCalls, SmallRoom) { run_all({.calls = 44, .every_call = true}, 20000); }
TEST(SoloCalls, RoomForStacks) { run_all({.calls = 44, .every_call = true, .room = 700}, 4000); }

// Programs that once differed.
TEST(SoloCalls, Corpus) {
  try {
    solo::Campaign campaign({.every_call = true, .room = 700});
    for (const auto& entry : std::filesystem::directory_iterator(FAULTLINE_CORPUS "/solo")) {
      std::ifstream file(entry.path());
      std::stringstream text;
      text << file.rdbuf();
      EXPECT_EQ(campaign.compare(from_text(text.str())), "") << entry.path();
    }
  } catch (const std::runtime_error& error) {
    GTEST_SKIP() << "SKIPPED: " << error.what();
  }
}

}  // namespace
}  // namespace faultline::spec
