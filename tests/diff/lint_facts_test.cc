// What the lints say of glibc, against the real libc of this machine: the settings are put into a child's environment, and where
// its malloc puts a block of 200 KiB tells what glibc made of them.
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "analyze/lints.h"
#include "heap/heap.h"
#include "heap/on/twin_memory.h"
#include "mm/phys/frame_table.h"
#include "mm/space/address_space.h"

namespace faultline::analyze {
namespace {

std::string real_answer(const std::string& tunables, const std::vector<std::string>& variables) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  std::vector<std::string> environment = variables;
  if (!tunables.empty()) environment.push_back("GLIBC_TUNABLES=" + tunables);
  std::vector<char*> strings;
  for (std::string& s : environment) strings.push_back(s.data());
  strings.push_back(nullptr);
  std::string program = LINT_PROBE;
  char* arguments[] = {program.data(), nullptr};
  const pid_t child = vfork();
  if (child == 0) {
    dup2(ends[1], 1);
    execve(program.c_str(), arguments, strings.data());
    _exit(127);
  }
  close(ends[1]);
  char buffer[64];
  const ssize_t length = read(ends[0], buffer, sizeof buffer);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return status == 0 && length > 0 ? std::string(buffer, static_cast<std::size_t>(length)) : "failed";
}

// The same program on the model, with the settings as they are understood here.
std::string our_answer(const heap::Tunables& tunables) {
  heap::Parameters parameters;
  parameters.tunables = tunables;
  mm::FrameTable frames;
  mm::AddressSpace space(frames, mm::KernelProfile::linux_6_18(), {});
  heap::TwinMemory memory(space, 0x555555559000);
  heap::Heap<heap::TwinMemory> heap(memory, parameters);
  const heap::Address low = heap.malloc(1, 100);
  const auto place = [&](heap::Address block) { return block >= low && block < memory.current_break() ? std::string("heap") : std::string("mapping"); };
  const heap::Address block = heap.malloc(1, 200 * 1024);
  std::string answer = place(block);
  if (block != 0) heap.free(1, block);
  return answer + " " + place(heap.malloc(1, 200 * 1024 - 8192));
}

struct Case {
  std::string tunables;
  std::vector<std::string> variables;
  std::string expected;            // the real libc's answer; empty: not asked
  std::vector<std::string> lints;  // ids
};

const std::string kPut = "glibc.malloc.mmap_threshold=";

const std::vector<Case> kCases = {
    {"", {}, "mapping heap", {}},
    {"", {"PATH=/bin", "MALLOC_CHECK_=0", "MALLOC_CONF=x", "MALLOC_TRACE=/dev/null"}, "mapping heap", {}},
    {"glibc.cpu.x86_shstk=on", {}, "mapping heap", {}},
    {"glibc.malloc.tcache_count=20:glibc.malloc.arena_max=2", {}, "mapping heap", {}},
    // One threshold alone freezes the other.
    {kPut + "1048576", {}, "heap heap", {"lone_threshold"}},
    {kPut + "1048576:glibc.malloc.trim_threshold=2097152", {}, "heap heap", {}},
    {"glibc.malloc.trim_threshold=99999999", {}, "mapping mapping", {"lone_threshold"}},
    {"glibc.malloc.top_pad=65536", {}, "mapping mapping", {"lone_threshold"}},
    {"", {"MALLOC_MMAP_MAX_=0", "MALLOC_TRIM_THRESHOLD_=99999999"}, "heap heap", {}},
    // Suffixes and other tails.
    {kPut + "1M", {}, "mapping mapping", {"lone_threshold", "value_suffix"}},
    {kPut + "1G:glibc.malloc.trim_threshold=1G", {}, "mapping mapping", {"value_suffix", "value_suffix"}},
    {kPut + "1e6", {}, "mapping mapping", {"lone_threshold", "value_suffix"}},
    {kPut, {}, "mapping mapping", {"lone_threshold", "value_suffix"}},
    {"", {"MALLOC_MMAP_THRESHOLD_=1MiB"}, "mapping mapping", {"lone_threshold", "value_suffix"}},
    {kPut + "1048576,glibc.malloc.trim_threshold=99999999", {}, "heap heap", {"lone_threshold", "value_suffix"}},
    {kPut + "1048576;glibc.malloc.trim_threshold=99999999", {}, "heap heap", {"lone_threshold", "value_suffix"}},
    {kPut + "0x100000:glibc.malloc.trim_threshold= 2097152", {}, "heap heap", {}},
    // Names.
    {"", {"MALLOC_MMAP_THRESHOLD=1048576"}, "mapping heap", {"wrong_variable"}},
    {"", {"MALLOC_MMAP_TRESHOLD_=1048576"}, "mapping heap", {"wrong_variable"}},
    {"", {"MALLOC_TRIM_TRESHOLD_=1048576"}, "mapping heap", {"wrong_variable"}},
    {"", {"MALLOC_ARENA_MAX_=1"}, "mapping heap", {"wrong_variable"}},
    {"", {"MALLOC_TCACHE_COUNT=0"}, "mapping heap", {"wrong_variable"}},
    {"glibc.malloc.mmap_treshold=1048576", {}, "mapping heap", {"unknown_tunable"}},
    {"GLIBC.MALLOC.MMAP_THRESHOLD=1048576", {}, "mapping heap", {"unknown_tunable"}},
    {"mmap_threshold=1048576", {}, "mapping heap", {"unknown_tunable"}},
    {std::string(" ").append(kPut).append("1048576"), {}, "mapping heap", {"unknown_tunable"}},
    {"glibc.malloc.typo=1:" + kPut + "1048576:glibc.malloc.trim_threshold=2097152", {}, "heap heap", {"unknown_tunable"}},
    {"glibc.malloc.mmap_threshold 1048576", {}, "mapping heap", {"unknown_tunable"}},
    {"glibc.malloc.mmap_threshold", {}, "mapping heap", {"unknown_tunable"}},
    // Ranges.
    {"glibc.malloc.mmap_max=-1", {}, "mapping heap", {"value_range"}},
    {"glibc.malloc.arena_max=0", {}, "mapping heap", {"value_range"}},
    {"glibc.malloc.mxfast=500", {}, "mapping heap", {"value_range"}},
    {"", {"MALLOC_PERTURB_=300"}, "mapping heap", {"value_range"}},
    // For finding errors.
    {"", {"MALLOC_PERTURB_=85"}, "mapping heap", {"debug_setting"}},
    {"glibc.malloc.perturb=1", {}, "mapping heap", {"debug_setting"}},
    {"glibc.malloc.perturb=0", {}, "mapping heap", {}},
    {"", {"MALLOC_CHECK_=3"}, "mapping heap", {"debug_setting"}},
    {"glibc.malloc.check=3", {}, "mapping heap", {"debug_setting"}},
    // Twice.
    {kPut + "1048576:glibc.malloc.trim_threshold=2097152", {"MALLOC_MMAP_THRESHOLD_=4096"}, "heap heap", {"set_twice"}},
    {kPut + "4096:glibc.malloc.trim_threshold=2097152", {"MALLOC_MMAP_THRESHOLD_=1048576"}, "mapping mapping", {"set_twice"}},
    {kPut + "1048576:glibc.malloc.trim_threshold=2097152:" + kPut + "4096", {}, "mapping mapping", {"set_twice"}},
    {kPut + "1048576:glibc.malloc.trim_threshold=2097152", {"MALLOC_MMAP_THRESHOLD_=1048576"}, "heap heap", {}},
    // Huge pages that were not to be had when it was recorded. (What it does depends on the machine.)
    {"glibc.malloc.hugetlb=1", {}, "", {"hugetlb_small_top"}},
};

std::vector<std::string> ids(const LintInput& input) {
  std::vector<std::string> list;
  for (const Lint& lint : look_for_lints(input)) {
    EXPECT_FALSE(lint.title.empty());
    list.push_back(lint.id);
  }
  std::sort(list.begin(), list.end());
  return list;
}

std::string text_of(const Case& one) {
  std::string text = "GLIBC_TUNABLES=" + one.tunables;
  for (const std::string& variable : one.variables) text += " " + variable;
  return text;
}

bool reads_as_this_libc() {
  const std::string version = gnu_get_libc_version();
  return version == "2.35" || version == "2.36" || version == "2.37";
}

TEST(Lints, FireWhereTheyShouldAndNowhereElse) {
  for (const Case& one : kCases) {
    SCOPED_TRACE(text_of(one));
    EXPECT_EQ(ids(lint_input(one.tunables, one.variables)), one.lints);
  }
}

TEST(Lints, TheRealLibcDoesWhatTheySay) {
  if (!reads_as_this_libc()) GTEST_SKIP() << "SKIPPED: glibc " << gnu_get_libc_version() << " may read its settings otherwise than 2.36";
  for (const Case& one : kCases) {
    if (one.expected.empty()) continue;
    SCOPED_TRACE(text_of(one));
    EXPECT_EQ(real_answer(one.tunables, one.variables), one.expected);
    EXPECT_EQ(our_answer(heap::Tunables::from_environment(one.tunables, one.variables)), one.expected);
  }
}

// What is offered instead does on the real libc what was meant, and has no lint about names and values itself.
TEST(Lints, WhatTheyOfferInsteadIsUnderstood) {
  if (!reads_as_this_libc()) GTEST_SKIP() << "SKIPPED: glibc " << gnu_get_libc_version() << " may read its settings otherwise than 2.36";
  std::size_t tried = 0;
  for (const Case& one : kCases) {
    for (const Lint& lint : look_for_lints(lint_input(one.tunables, one.variables))) {
      if (!lint.instead || one.expected.empty()) continue;
      SCOPED_TRACE(text_of(one) + ": " + lint.id);
      const std::string text = lint.instead->to_glibc_tunables();
      EXPECT_EQ(heap::Tunables::from_environment(text, {}), *lint.instead);
      EXPECT_EQ(real_answer(text, {}), our_answer(*lint.instead));
      for (const std::string& id : ids(lint_input(text, {}))) EXPECT_TRUE(id == "lone_threshold" || id == "value_suffix" || id == "value_range" || id == "hugetlb_small_top") << id;
      ++tried;
    }
  }
  EXPECT_GT(tried, 10u);
}

// Random texts, most of them damaged: what glibc makes of them is what from_environment says.
TEST(Lints, RandomTextsAreReadAsTheRealLibcReadsThem) {
  if (!reads_as_this_libc()) GTEST_SKIP() << "SKIPPED: glibc " << gnu_get_libc_version() << " may read its settings otherwise than 2.36";
  const char* given = std::getenv("FAULTLINE_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : 20261123;
  std::mt19937_64 random(seed);
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  const std::vector<std::string> names = {"mmap_threshold", "trim_threshold", "mmap_max", "top_pad", "tcache_count"};
  const std::vector<std::string> values = {"1048576", "4096", "1M", "0", "", "-1", "0x80000", "0777777777", " 300000", "9999999999999999999999"};
  const std::vector<std::string> variables = {"MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD"};
  for (int i = 0; i < 150; ++i) {
    std::string text;
    for (std::uint64_t n = random() % 4; n > 0; --n) {
      if (!text.empty()) text += ':';
      text.append("glibc.malloc.").append(names[random() % names.size()]).append(1, '=').append(values[random() % values.size()]);
    }
    for (std::uint64_t n = random() % 3; n > 0 && !text.empty(); --n) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0: text.erase(at, 1); break;
        case 1: text.insert(at, 1, ":= 1"[random() % 4]); break;
        default: text[at] = ":= .1g"[random() % 6];
      }
    }
    std::vector<std::string> environment;
    if (random() % 2) environment.push_back(variables[random() % variables.size()] + "=" + values[random() % values.size()]);
    SCOPED_TRACE(text_of({text, environment, {}, {}}));
    EXPECT_EQ(real_answer(text, environment), our_answer(heap::Tunables::from_environment(text, environment)));
    ids(lint_input(text, environment));  // no text breaks them
  }
}

TEST(Lints, ThreadsMakeADifference) {
  LintInput input = lint_input("glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=1073741824:glibc.malloc.top_pad=67108864", {});
  EXPECT_TRUE(ids(input).empty());
  input.threads = 4;
  EXPECT_EQ(ids(input), (std::vector<std::string>{"mmap_max_threads", "top_pad_threads"}));
  input = lint_input("glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=1073741824", {});
  input.threads = 4;
  EXPECT_EQ(ids(input), std::vector<std::string>{"mmap_max_threads"});
}

TEST(Lints, MalloptCountsToo) {
  LintInput input;
  EXPECT_TRUE(look_for_lints(input).empty());
  add_call(input.mallopts, {heap::kTrimThreshold, 1 << 30, 1});
  EXPECT_EQ(ids(input), std::vector<std::string>{"lone_threshold"});
  add_call(input.mallopts, {heap::kMmapMax, 0, 1});
  EXPECT_TRUE(look_for_lints(input).empty());
  add_call(input.mallopts, {heap::kMmapMax, 0, 1});
  EXPECT_EQ(input.mallopts.size(), 2u);
}

TEST(Lints, HugePagesNeedALargeTop) {
  LintInput input = lint_input("glibc.malloc.hugetlb=1", {});
  input.thp_by_madvise = true;
  ASSERT_EQ(ids(input), std::vector<std::string>{"hugetlb_small_top"});
  EXPECT_TRUE(look_for_lints(input)[0].instead);
  input = lint_input("glibc.malloc.hugetlb=1:glibc.malloc.trim_threshold=67108864:glibc.malloc.mmap_threshold=33554432", {});
  input.thp_by_madvise = true;
  EXPECT_TRUE(ids(input).empty());
}

TEST(Lints, EveryFileOfTheFolderIsRegistered) { EXPECT_EQ(Registry<LintDescriptor>::instance().entries().size(), std::size_t{LINT_FILES}); }

}  // namespace
}  // namespace faultline::analyze
