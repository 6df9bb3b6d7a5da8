// Differential test: random heap programs on the real glibc 2.36 and on the model. Compared after every operation: the
// pointer, size word, break, top, system_mem, mapped bytes and both thresholds; every memory system call with its
// arguments, in order; now and then all chunk headers and the set of pages that malloc itself has touched.
//
//   FAULTLINE_HEAP_OPS   how many operations in all      FAULTLINE_HEAP_SEED   where to begin; printed on failure
//   FAULTLINE_HEAP_DRIVER and FAULTLINE_HEAP_VERSION: heap_driver linked with another glibc, and which one that is
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "heap_compare.h"
#include "heap_tunable_sets.h"

namespace faultline::diff {
namespace {

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

std::string driver() {
  const char* const path = std::getenv("FAULTLINE_HEAP_DRIVER");
  return path != nullptr ? path : HEAP_DRIVER;
}

struct Case {
  std::uint64_t seed = 0;
  Style style = Style::tiny;
  std::string tunables;
};

// What runs right now, so that a failed FL_ASSERT can say where.
Case running;

void on_abort(int) {
  const std::string line = fmt::format("the model asserted: seed {}, style {}, GLIBC_TUNABLES='{}', operation {}\n", running.seed,
                                       name_of(running.style), running.tunables, current_op());
  (void)!write(STDERR_FILENO, line.data(), line.size());
  _exit(1);
}

Result<std::optional<Difference>> run_once(const Case& c, const std::vector<Op>& ops) {
  const bool residency = can_check_residency(c.tunables);
  FL_TRY(const DriverRun run, DriverRun::start(driver(), c.tunables, ops, residency));
  return compare(run, ops, parameters_for(c.tunables));
}

// Drops ever smaller runs of operations while the rest still differs.
std::vector<Op> shrink(const Case& c, std::vector<Op> ops, std::size_t at) {
  ops.resize(std::min(ops.size(), at + 1));
  unsigned tries = 0;
  for (std::size_t piece = ops.size() / 2; piece > 0 && tries < 500; piece /= 2) {
    for (std::size_t from = 0; from + piece <= ops.size() && tries < 500; ++tries) {
      std::vector<Op> fewer(ops.begin(), ops.begin() + static_cast<std::ptrdiff_t>(from));
      fewer.insert(fewer.end(), ops.begin() + static_cast<std::ptrdiff_t>(from + piece), ops.end());
      const auto found = run_once(c, fewer);
      if (found && *found) {
        fewer.resize((*found)->op + 1);
        ops = std::move(fewer);
      } else {
        from += piece;
      }
    }
  }
  return ops;
}

std::string report(const Case& c, const std::vector<Op>& ops, const Difference& difference) {
  std::ostringstream out;
  out << "seed " << c.seed << ", style " << name_of(c.style) << ", GLIBC_TUNABLES='" << c.tunables << "'\noperation "
      << difference.op << ": " << describe(ops[difference.op]) << "\n" << difference.what << "\nshortest program found:\n";
  const std::vector<Op> fewer = shrink(c, ops, difference.op);
  for (const Op& op : fewer) out << "  " << describe(op) << "\n";
  if (const auto last = run_once(c, fewer); last && *last) out << "  // " << (*last)->what << "\n";
  return out.str();
}

TEST(HeapDiff, ModelEqualsGlibc) {
  const std::uint64_t total = number_from("FAULTLINE_HEAP_OPS", 2'200'000);
  const std::uint64_t first_seed = number_from("FAULTLINE_HEAP_SEED", 1);
  constexpr std::uint64_t kOps = 10'000;
  signal(SIGABRT, on_abort);
  std::uint64_t done = 0, calls = 0, traces = 0;
  for (std::uint64_t seed = first_seed; done < total; ++seed) {
    running = {seed, style_of(seed), tunables_of(seed)};
    const std::vector<Op> ops = make_trace(seed, running.style, kOps);
    const bool residency = can_check_residency(running.tunables);
    const auto run = DriverRun::start(driver(), running.tunables, ops, residency);
    if (!run && run.error().message().starts_with("SKIP")) GTEST_SKIP() << run.error().message();
    ASSERT_TRUE(run) << "seed " << seed << ", style " << name_of(running.style) << ", '" << running.tunables << "': " << run.error().message();
    const auto difference = compare(*run, ops, parameters_for(running.tunables));
    if (difference) FAIL() << report(running, ops, *difference);
    if (done / 5'000'000 != (done + ops.size()) / 5'000'000) {
      std::cerr << fmt::format("{} of {} operations, seed {}\n", done + ops.size(), total, seed);
    }
    done += ops.size();
    calls += run->calls().size();
    ++traces;
  }
  signal(SIGABRT, SIG_DFL);
  std::cout << fmt::format("{} operations in {} traces from seed {}, {} system calls: no difference\n", done, traces, first_seed, calls);
}

// Short programs for rules that random ones meet only now and then.
void expect_equal(const char* tunables, const std::vector<Op>& ops) {
  running = {0, Style::count, tunables};
  const auto found = run_once(running, ops);
  if (!found && found.error().message().starts_with("SKIP")) GTEST_SKIP() << found.error().message();
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_FALSE(*found) << "operation " << (*found)->op << ": " << describe(ops[(*found)->op]) << " " << (*found)->what;
}

// One scan sorts at most 10000 chunks: a fitting chunk behind so many others is not found in the first round.
TEST(HeapDiff, UnsortedScanStopsAfterTenThousandChunks) {
  for (const unsigned in_front : {9998U, 9999U, 10000U, 10001U, 10300U}) {
    SCOPED_TRACE(in_front);
    std::vector<Op> ops;
    for (unsigned i = 0; i < 2 * in_front; ++i) ops.push_back({kOpMalloc, static_cast<std::uint16_t>(i), 0, 200, 0});
    const auto big = static_cast<std::uint16_t>(2 * in_front), guard = static_cast<std::uint16_t>(big + 1);
    ops.push_back({kOpMalloc, big, 0, 5000, 0});
    ops.push_back({kOpMalloc, guard, 0, 200, 0});
    for (unsigned i = 0; i < 2 * in_front; i += 2) ops.push_back({kOpFree, static_cast<std::uint16_t>(i), 0, 0, 0});
    ops.push_back({kOpFree, big, 0, 0, 0});
    for (std::uint16_t i = 0; i < 3; ++i) ops.push_back({kOpMalloc, static_cast<std::uint16_t>(guard + 1 + i), 0, 4000, 0});
    ops.push_back({kOpWalk, 0, 0, 0, 0});
    expect_equal("glibc.malloc.tcache_count=0", ops);
  }
}

// A free that makes 64 KiB or more consolidates the fastbins of the whole arena, one of 16 bytes less does not.
TEST(HeapDiff, FreeOf64KiBConsolidates) {
  for (const std::uint64_t chunk : {65536U - 16U, 65536U, 65536U + 16U}) {
    std::vector<Op> ops;
    for (std::uint16_t i = 0; i < 6; ++i) ops.push_back({kOpMalloc, i, 0, 100, 0});
    ops.push_back({kOpMalloc, 6, 0, chunk - 8, 0});
    ops.push_back({kOpMalloc, 7, 0, 100, 0});
    for (std::uint16_t i = 0; i < 5; ++i) ops.push_back({kOpFree, i, 0, 0, 0});
    ops.push_back({kOpFree, 6, 0, 0, 0});
    ops.push_back({kOpWalk, 0, 0, 0, 0});
    expect_equal("glibc.malloc.tcache_count=0", ops);
  }
}

// A mapped chunk of exactly the threshold's size adapts it too: that doubles the trim threshold of a fresh process.
TEST(HeapDiff, ThresholdAdaptsToItsOwnSize) {
  for (const std::uint64_t size : {126000U, 131000U, 131049U, 140000U}) {
    expect_equal("", {{kOpMalloc, 0, 0, 140000, 0}, {kOpRealloc, 0, 0, size, 0}, {kOpFree, 0, 0, 0, 0},
                      {kOpMalloc, 0, 0, 140000, 0}, {kOpMalloc, 1, 0, 200000, 0}, {kOpFree, 1, 0, 0, 0}, {kOpFree, 0, 0, 0, 0}});
  }
}

// The unsigned comparison in systrim: a top of exactly 32 bytes makes malloc_trim grow the heap by a page.
TEST(HeapDiff, TrimOfTheSmallestTopGrowsIt) {
  expect_equal("", {{kOpMalloc, 0, 0, 0x21000 - 0x290 - 32 - 8, 0}, {kOpTrim, 0, 0, 0, 0}, {kOpMalloc, 1, 0, 100, 0}});
}

// Freeing the old top behind somebody else's sbrk trims the new top: ENOMEM although there is memory.
TEST(HeapDiff, FencedTopCanTrimTheNewOne) {
  expect_equal("glibc.malloc.mmap_max=0", {{kOpMalloc, 0, 0, 100, 0}, {kOpSbrk, 0, 0, 4096, 0}, {kOpMalloc, 1, 0, 140000, 0},
                                           {kOpMalloc, 1, 0, 140000, 0}, {kOpWalk, 0, 0, 0, 0}});
}

// The main arena has no memory for an aligned block: the arena made for a second try is sized without the alignment.
TEST(HeapDiff, ASecondArenaForAnAlignedBlockForgetsTheAlignment) {
  expect_equal("", {{kOpMalloc, 1, 2, 100, 0}, {kOpMalloc, 2, 0, 100, 0}, {kOpRefuse, 0, 0, kRefuseBrk | kRefuseMmap, 3},
                    {kOpPosixMemalign, 3, 0, 65536, 100000}, {kOpWalk, 3, 0, 0, 0}, {kOpFree, 3, 0, 0, 0}});
}

// A product between PTRDIFF_MAX and SIZE_MAX is refused before the heap or the thread's cache is made.
TEST(HeapDiff, CallocOfMoreThanHalfTheAddressSpaceComesFirst) {
  expect_equal("", {{kOpCalloc, 0, 0, 3074457345618258602, 5}, {kOpMalloc, 1, 0, 100, 0}});
  expect_equal("", {{kOpCalloc, 0, 0, std::uint64_t{1} << 62, 2}, {kOpCalloc, 0, 0, (std::uint64_t{1} << 63) - 1, 1}, {kOpMalloc, 1, 0, 100, 0}});
}

// Refused breaks: the first mapping is rounded to 1 MiB, the later ones are not.
TEST(HeapDiff, RefusedBreaksBecomeMappings) {
  std::vector<Op> ops{{kOpMalloc, 0, 0, 100, 0}, {kOpRefuse, 0, 0, kRefuseBrk, 1000}};
  for (std::uint16_t i = 1; i < 80; ++i) ops.push_back({kOpMalloc, i, 0, 60000, 0});
  for (std::uint16_t i = 1; i < 80; i += 2) ops.push_back({kOpFree, i, 0, 0, 0});
  for (std::uint16_t i = 100; i < 120; ++i) ops.push_back({kOpMalloc, i, 0, 30000, 0});
  ops.push_back({kOpWalk, 0, 0, 0, 0});
  expect_equal("", ops);
}

}  // namespace
}  // namespace faultline::diff
