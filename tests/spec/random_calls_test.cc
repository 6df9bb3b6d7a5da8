// Random programs of memory calls, on this kernel and on the twin, compared after every call (program.h).
//
// FAULTLINE_MM_PROGRAMS: how many of each shape (default 500 to 2500). FAULTLINE_MM_SEED: the first seed (default 1); program i uses
// seed + i, so that a difference is run again alone with FAULTLINE_MM_SEED=<seed> FAULTLINE_MM_PROGRAMS=1.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "kernel_process.h"
#include "program.h"
#include "test_file.h"
#include "thp_settings.h"

namespace faultline::spec {
namespace {

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

void run_all(const Shape& shape, std::uint64_t otherwise) {
  const std::uint64_t programs = setting("FAULTLINE_MM_PROGRAMS", otherwise);
  const std::uint64_t first = setting("FAULTLINE_MM_SEED", 1);
  std::printf("seeds %llu to %llu, %d calls each\n", static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(first + programs - 1), shape.calls);
  KernelProcess kernel;
  std::uint64_t different = 0;
  std::uint64_t once = 0;
  for (std::uint64_t i = 0; i < programs; ++i) {
    const Program program = random_program(first + i, shape);
    const std::string difference = compare(kernel, program);
    if (difference.empty()) continue;
    // Twice in a row, or it was not the program alone: khugepaged, the writer of dirty pages and whoever reclaims the page cache work on
    // their own now and then. Where none of them has anything to do with the program, once is enough.
    if (compare(kernel, program).empty()) {
      std::printf("seed %llu differed once and not again: %s\n", static_cast<unsigned long long>(first + i), difference.c_str());
      ++once;
      continue;
    }
    if (++different > 3) continue;
    const Program small = shrink(kernel, program);
    ADD_FAILURE() << fmt::format("seed {}: {}\nfor tests/spec/corpus:\n{}", first + i, compare(kernel, small), to_text(small));
  }
  EXPECT_EQ(different, 0u) << "programs that differ, of " << programs;
  const bool others_at_work = shape.files || shape.huge_pages;
  EXPECT_LE(once, others_at_work ? 2 + programs / 1000 : 0) << "programs that differed once";
}

TEST(RandomCalls, OneProcess) { run_all({}, 2500); }
TEST(RandomCalls, ProcessesThatFork) { run_all({.calls = 60, .forks = true}, 500); }
TEST(RandomCalls, SharedMemory) { run_all({.calls = 60, .forks = true, .shared_memory = true}, 500); }
TEST(RandomCalls, HugePages) {
  if (!huge_pages_by_advice()) GTEST_SKIP() << "SKIPPED: huge pages are not in mode madvise";
  run_all({.huge_pages = true}, 200);
  run_all({.forks = true, .huge_pages = true}, 100);
}
TEST(RandomCalls, Files) {
  for (const FileKind kind : {FileKind::disk, FileKind::tmpfs}) {
    const std::string missing = TestFile::missing(kind, false);
    if (!missing.empty()) GTEST_SKIP() << "SKIPPED: " << missing;
  }
  const bool large = TestFile::missing(FileKind::disk, true).empty();
  run_all({.files = true, .large_folios = large}, 500);
  run_all({.calls = 60, .forks = true, .shared_memory = true, .files = true, .large_folios = large}, 300);
}

// Programs that once differed.
TEST(RandomCalls, Corpus) {
  KernelProcess kernel;
  for (const auto& entry : std::filesystem::directory_iterator(FAULTLINE_CORPUS)) {
    if (!entry.is_regular_file()) continue;
    if (entry.is_directory()) continue;
    std::ifstream file(entry.path());
    std::stringstream text;
    text << file.rdbuf();
    const Program program = from_text(text.str());
    const bool root = text.str().rfind("# root", 0) == 0;
    const bool files = text.str().find(" open ") != std::string::npos;
    const bool huge = text.str().find(" huge ") != std::string::npos;
    if ((files && !TestFile::missing(FileKind::disk, root).empty()) || (huge && !huge_pages_by_advice())) {
      std::printf("SKIPPED: %s: needs ext4, root or huge pages by advice\n", entry.path().c_str());
      continue;
    }
    EXPECT_EQ(to_text(from_text(to_text(program))), to_text(program));
    EXPECT_EQ(compare(kernel, program), "") << entry.path();
  }
}

}  // namespace
}  // namespace faultline::spec
