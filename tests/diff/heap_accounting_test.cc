// Accounting against reality: random heap programs on the real glibc, and at random moments what it says of itself (mallinfo2,
// malloc_info), what mincore says of the blocks' pages, and what malloc_trim(0) really gives back in a child forked for it.
//
//   FAULTLINE_ACCOUNT_TRACES   how many programs      FAULTLINE_ACCOUNT_SEED   where to begin
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "heap_compare.h"
#include "heap_facts.h"
#include "heap_tunable_sets.h"

namespace faultline::diff {
namespace {

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

void ask_everything(std::vector<Op>& ops, std::uint16_t thread, std::mt19937_64& random) {
  for (std::uint64_t fact = 0; fact < kFacts; ++fact) {
    const bool of_arena = fact >= kFactFastCount && fact <= kFactSystemBytes;
    for (std::uint64_t i = 0; i < (of_arena ? 3U : 1U); ++i) ops.push_back({kOpAccount, 0, thread, fact, i == 0 ? 0 : random() % 12});
  }
}

// The program writes to its blocks here and there, and is asked now and then.
std::vector<Op> with_questions(const std::vector<Op>& program, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Op> ops;
  for (const Op& op : program) {
    ops.push_back(op);
    if (random() % 4 == 0) ops.push_back({kOpTouch, op.slot, op.thread, random(), 1 + random() % (random() % 3 == 0 ? 1 << 20 : 6000)});
    if (random() % 400 == 0) ask_everything(ops, op.thread, random);
  }
  ask_everything(ops, 0, random);
  return ops;
}

TEST(HeapAccounting, EqualsWhatGlibcAndTheKernelSay) {
  const std::uint64_t traces = number_from("FAULTLINE_ACCOUNT_TRACES", 52), first = number_from("FAULTLINE_ACCOUNT_SEED", 1);
  std::uint64_t asked = 0, done = 0;
  std::vector<std::uint64_t> not_zero(kFacts);
  for (std::uint64_t seed = first; done < traces; ++seed) {
    const Style style = style_of(seed);
    const std::string tunables = tunables_of(seed);
    if (!can_check_residency(tunables)) continue;
    const std::vector<Op> ops = with_questions(make_trace(seed, style, 2500), seed);
    const auto run = DriverRun::start(HEAP_DRIVER, tunables, ops, true);
    if (!run && run.error().message().starts_with("SKIP")) GTEST_SKIP() << run.error().message();
    ASSERT_TRUE(run) << "seed " << seed << ": " << run.error().message();
    const auto difference = compare(*run, ops, parameters_for(tunables));
    ASSERT_FALSE(difference) << "seed " << seed << ", style " << name_of(style) << ", GLIBC_TUNABLES='" << tunables << "', operation "
                             << difference->op << " " << describe(ops[difference->op]) << ": " << difference->what;
    for (std::size_t i = 0; i < ops.size(); ++i) {
      if (ops[i].kind != kOpAccount) continue;
      ++asked;
      if (run->answers()[i].result != 0) ++not_zero[ops[i].a];
    }
    ++done;
  }
  for (std::uint64_t fact = 0; fact < kFacts; ++fact) EXPECT_GT(not_zero[fact], 0U) << "fact " << fact << " was never anything but 0";
  std::cout << asked << " facts in " << traces << " programs: no difference\n";
}

}  // namespace
}  // namespace faultline::diff
