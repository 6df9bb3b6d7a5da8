// Tunables as faultline reads them against ld.so's own answer (ld.so --list-tunables), for many random environments.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <random>

#include "heap/parameters.h"

namespace faultline::heap {
namespace {

constexpr const char* kLoader = "/lib64/ld-linux-x86-64.so.2";

std::string loader_output(const std::vector<std::string>& environment) {
  int ends[2];
  if (pipe(ends) != 0) return {};
  std::vector<char*> strings;
  std::vector<std::string> copy = environment;
  for (std::string& s : copy) strings.push_back(s.data());
  strings.push_back(nullptr);
  std::string program = kLoader, option = "--list-tunables";
  char* arguments[] = {program.data(), option.data(), nullptr};
  const pid_t child = vfork();
  if (child == 0) {
    dup2(ends[1], 1);
    execve(program.c_str(), arguments, strings.data());
    _exit(127);
  }
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return status == 0 ? text : std::string();
}

// "glibc.malloc.top_pad: 0x6 (min: 0x0, max: ...)": name to value; 0 stands for "not set" too.
std::map<std::string, std::uint64_t> loader_values(const std::vector<std::string>& environment) {
  std::map<std::string, std::uint64_t> values;
  const std::string text = loader_output(environment), prefix = "glibc.malloc.";
  for (std::size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix, at + 1)) {
    const std::size_t colon = text.find(':', at);
    const std::string name = text.substr(at + prefix.size(), colon - at - prefix.size());
    values[name] = std::strtoull(text.c_str() + colon + 1, nullptr, 0);
  }
  values.erase("check");
  return values;
}

std::map<std::string, std::uint64_t> our_values(const Tunables& t) {
  return {{"mmap_threshold", t.mmap_threshold.value_or(0)},
          {"trim_threshold", t.trim_threshold.value_or(0)},
          {"top_pad", t.top_pad.value_or(0)},
          {"mmap_max", static_cast<std::uint64_t>(t.mmap_max.value_or(0))},
          {"tcache_count", t.tcache_count.value_or(0)},
          {"tcache_max", t.tcache_max.value_or(0)},
          {"tcache_unsorted_limit", t.tcache_unsorted_limit.value_or(0)},
          {"mxfast", t.mxfast.value_or(0)},
          {"arena_max", t.arena_max.value_or(0)},
          {"arena_test", t.arena_test.value_or(0)},
          {"perturb", t.perturb.value_or(0)},
          {"hugetlb", t.hugetlb.value_or(0)}};
}

TEST(HeapParameters, EnvironmentIsReadAsLdSoReadsIt) {
  if (access(kLoader, X_OK) != 0) GTEST_SKIP() << kLoader << " is not there";
  const char* const given = std::getenv("FAULTLINE_HEAP_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device()();
  std::mt19937_64 random(seed);
  const auto pick = [&random](const auto& list) { return std::string(list[random() % std::size(list)]); };
  static constexpr const char* kNames[] = {
      "mmap_threshold", "trim_threshold", "top_pad",   "mmap_max",   "tcache_count", "tcache_max", "tcache_unsorted_limit",
      "mxfast",         "arena_max",      "arena_test", "perturb",   "hugetlb",      "nonsense",   "top_pad "};
  static constexpr const char* kVariables[] = {
      "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_MAX_",   "MALLOC_ARENA_MAX",
      "MALLOC_ARENA_TEST",      "MALLOC_PERTURB_",        "MALLOC_TOP_PAD",  "MALLOC_TCACHE_COUNT", "MALLOC_MXFAST_"};
  static constexpr const char* kValues[] = {
      "0", "1", "5", "64", "255", "256", "65536", "1G", "12k", "abc", "", "-1", "-5", "+7", " 9", "\t3", "0x1000", "0X1f", "0x",
      "0xg", "010", "08", "1 2", "4294967297", "2147483647", "2147483648", "18446744073709551615", "18446744073709551616",
      "-18446744073709551616", "99999999999999999999999", "7=8", "-0", "--1", "1:2"};
  for (int round = 0; round < 1500; ++round) {
    std::string tunables;
    for (std::uint64_t n = random() % 5; n > 0; --n) {
      tunables += fmt::format("{}{}", random() % 12 == 0 ? "" : "glibc.malloc.", pick(kNames));
      if (random() % 15 != 0) tunables += fmt::format("={}", pick(kValues));
      if (n > 1 || random() % 6 == 0) tunables += ":";
    }
    std::vector<std::string> variables;
    for (std::uint64_t n = random() % 4; n > 0; --n) variables.push_back(fmt::format("{}={}", pick(kVariables), pick(kValues)));
    std::vector<std::string> environment = variables;
    const auto at = static_cast<std::ptrdiff_t>(random() % (environment.size() + 1));
    environment.insert(environment.begin() + at, "GLIBC_TUNABLES=" + tunables);
    std::string shown;
    for (const std::string& variable : environment) shown += fmt::format("'{}' ", variable);
    const auto libc = loader_values(environment);
    ASSERT_EQ(libc.size(), 12U) << "ld.so --list-tunables gave no list";
    ASSERT_EQ(our_values(Tunables::from_environment(tunables, variables)), libc) << "seed " << seed << ": " << shown;
  }
}

TEST(HeapParameters, WhatGlibcSilentlyDoesIsSaid) {
  std::vector<std::string> warnings;
  const Tunables t = Tunables::from_environment("glibc.malloc.mmap_threshold=1G", {"MALLOC_MMAP_MAX_=-1"}, &warnings);
  EXPECT_EQ(t.mmap_threshold, 1U);
  EXPECT_FALSE(t.mmap_max);
  EXPECT_EQ(warnings.size(), 2U);
}

TEST(HeapParameters, SettingsCarrySuffixesAndComeBackAsTunables) {
  Tunables t;
  EXPECT_TRUE(t.set("mmap_threshold=1G"));
  EXPECT_TRUE(t.set("glibc.malloc.trim_threshold=-1"));
  EXPECT_TRUE(t.set("mmap_max=0"));
  EXPECT_TRUE(t.set("top_pad=64k"));
  EXPECT_EQ(t.mmap_threshold, std::uint64_t{1} << 30);
  EXPECT_EQ(t.mmap_max, 0);
  EXPECT_EQ(t.top_pad, 65536U);
  EXPECT_EQ(Tunables::from_environment(t.to_glibc_tunables(), {}), t);
  for (const char* bad : {"mmap_max=-1", "perturb=256", "arena_max=0", "mxfast=161", "tcache_max=1033", "tcache_count=65536",
                          "top_pad=", "top_pad=12q", "top_pad=abc", "top_pad", "nonsense=1", "top_pad=99999999999999999999G"}) {
    const Tunables before = t;
    EXPECT_FALSE(t.set(bad)) << bad;
    EXPECT_EQ(t, before);
  }
  EXPECT_EQ(Tunables().to_glibc_tunables(), "");
}

}  // namespace
}  // namespace faultline::heap
