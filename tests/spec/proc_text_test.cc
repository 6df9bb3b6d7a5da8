// /proc/PID/{maps,smaps,smaps_rollup,status,statm,stat}: a child builds mappings, the twin builds the same, the texts are
// compared byte for byte. Not compared, because the twin cannot know them: Referenced and LazyFree (they tell of reclaim's
// lists), which file pages others share (so smaps of anonymous mappings only), and the peak of resident pages.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <vector>

#include "mm/machine/proc_text.h"
#include "solo/kernel.h"
#include "solo/twin.h"

namespace faultline::spec {
namespace {

std::string read(pid_t pid, const char* name) {
  std::ifstream file(fmt::format("/proc/{}/{}", pid, name));
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> found;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) found.push_back(line);
  return found;
}

bool starts_with(const std::string& line, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (line.rfind(name, 0) == 0) return true;
  }
  return false;
}

// The lines between two, both included.
std::vector<std::string> from_to(const std::vector<std::string>& all, const char* first, const char* last) {
  std::vector<std::string> found;
  for (const std::string& line : all) {
    if (!found.empty() || starts_with(line, {first})) found.push_back(line);
    if (starts_with(line, {last})) break;
  }
  return found;
}

struct ProcText : testing::Test {
  void SetUp() override {
    try {
      kernel = std::make_unique<solo::Kernel>();
      twin = std::make_unique<solo::Twin>(*kernel);
    } catch (const std::runtime_error& error) {
      GTEST_SKIP() << "SKIPPED: " << error.what();
    }
  }
  // A bit of everything that shows.
  void build() {
    const std::vector<Call> calls = {{Op::reset},
                                     {Op::mmap, kWindow, 64 * kPage, 3, 0x32},
                                     {Op::touch, kWindow, 20 * kPage, 1},
                                     {Op::touch, kWindow + 20 * kPage, 10 * kPage, 0},
                                     {Op::mprotect, kWindow + 4 * kPage, 4 * kPage, 1},
                                     {Op::mprotect, kWindow + 12 * kPage, 2 * kPage, 5},
                                     {Op::madvise, kWindow + 16 * kPage, kPage, 102},
                                     {Op::madvise, kWindow + 40 * kPage, 4 * kPage, 16},
                                     {Op::madvise, kWindow + 44 * kPage, 4 * kPage, 10},
                                     {Op::madvise, kWindow + 48 * kPage, 4 * kPage, 14},
                                     {Op::mlock, kWindow + 56 * kPage, 4 * kPage, 0},
                                     {Op::mlock, kWindow + 60 * kPage, 4 * kPage, 1},
                                     {Op::mmap, kWindow + 100 * kPage, 4 * kPage, 0, 0x4032},
                                     {Op::mmap, kWindow + 110 * kPage, 4 * kPage, 3, 0x38},
                                     {Op::mmap, kWindow + 500 * kPage, 4 * kPage, 3, 0x132},
                                     {Op::touch, kWindow + 490 * kPage, kPage, 1},
                                     {Op::mremap, kWindow, 2 * kPage, 2 * kPage, 7, kWindow + 120 * kPage},
                                     {Op::brk, 10 * kPage + 8},
                                     {Op::touch, kernel->start_brk(), 4 * kPage, 1}};
    kernel->start(calls, {});
    (void)kernel->finish();
    for (const Call& call : calls) (void)twin->run(call);
  }
  std::unique_ptr<solo::Kernel> kernel;
  std::unique_ptr<solo::Twin> twin;
};

TEST_F(ProcText, Maps) {
  build();
  EXPECT_EQ(read(kernel->pid(), "maps"), mm::maps_text(twin->space(), twin->names()));
}

TEST_F(ProcText, Smaps) {
  build();
  const auto real = lines(read(kernel->pid(), "smaps"));
  const auto made = lines(mm::smaps_text(twin->space(), twin->names()));
  ASSERT_EQ(real.size(), made.size());
  std::string header;
  bool anonymous = false;
  int compared = 0;
  for (std::size_t i = 0; i < real.size(); ++i) {
    if (real[i].find('-') < 17) {
      header = real[i];
      anonymous = header.find('/') == std::string::npos &&
                  (header.find('[') == std::string::npos || header.find("[heap]") != std::string::npos || header.find("[stack]") != std::string::npos);
      EXPECT_EQ(real[i], made[i]);
    } else if (anonymous && !starts_with(real[i], {"Referenced:", "LazyFree:"})) {
      EXPECT_EQ(real[i], made[i]) << header;
      ++compared;
    }
  }
  EXPECT_GT(compared, 300);
}

TEST_F(ProcText, Status) {
  build();
  const auto real = from_to(lines(read(kernel->pid(), "status")), "VmPeak:", "VmSwap:");
  const auto made = lines(mm::status_text(twin->space(), twin->names()));
  ASSERT_EQ(real.size(), made.size());
  for (std::size_t i = 0; i < real.size(); ++i) {
    // The peaks are older than the twin; the child's area is shared memory, which the twin's opaque files are not.
    if (starts_with(real[i], {"VmPeak:", "VmHWM:", "RssFile:", "RssShmem:", "VmExe:", "VmLib:"})) {
      EXPECT_EQ(real[i].substr(0, real[i].find(':')), made[i].substr(0, made[i].find(':')));
    } else {
      EXPECT_EQ(real[i], made[i]);
    }
  }
}

TEST_F(ProcText, RollupAndStatmAndStat) {
  build();
  const auto real = lines(read(kernel->pid(), "smaps_rollup"));
  const auto made = lines(mm::smaps_rollup_text(twin->space()));
  ASSERT_EQ(real.size(), made.size());
  for (std::size_t i = 0; i < real.size(); ++i) {
    if (starts_with(real[i], {"Rss:", "Anonymous:", "Pss_Anon:", "AnonHugePages:", "Swap:", "Locked:", "KSM:"}) || i == 0) {
      EXPECT_EQ(real[i], made[i]);
    } else {
      EXPECT_EQ(real[i].substr(0, 17), made[i].substr(0, 17));
    }
  }
  const auto words = [](const std::string& text) {
    std::vector<std::string> found;
    std::istringstream in(text.substr(text.rfind(')') == std::string::npos ? 0 : text.rfind(')')));
    for (std::string word; in >> word;) found.push_back(word);
    return found;
  };
  const auto real_statm = words(read(kernel->pid(), "statm"));
  const auto made_statm = words(mm::statm_text(twin->space(), twin->names()));
  ASSERT_EQ(real_statm.size(), made_statm.size());
  for (const std::size_t field : {0u, 1u, 2u, 4u, 5u, 6u}) EXPECT_EQ(real_statm[field], made_statm[field]) << field;
  const auto real_stat = words(read(kernel->pid(), "stat"));
  const auto made_stat = words(mm::stat_text(twin->process(), twin->names()));
  ASSERT_EQ(real_stat.size(), made_stat.size());
  // Fields of proc_pid_stat(5): 23 size, 47 start of the break; 24, resident pages, is inexact there. words[1] is field 3.
  for (const std::size_t field : {23u, 47u}) EXPECT_EQ(real_stat[field - 2], made_stat[field - 2]) << field;
}

}  // namespace
}  // namespace faultline::spec
