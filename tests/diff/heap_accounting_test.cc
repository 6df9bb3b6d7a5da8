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

// Free a block past the caches, and what malloc keeps is what malloc_trim leaves: only so can one say what a block holds.
const std::string kNoCaches = "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0", kOneArena = ":glibc.malloc.arena_max=1";

void ask_everything(std::vector<Op>& ops, std::uint16_t thread, std::mt19937_64& random) {
  for (std::uint64_t fact = 0; fact < kFactKeptWithout; ++fact) {
    const bool of_arena = fact >= kFactFastCount && fact <= kFactSystemBytes;
    for (std::uint64_t i = 0; i < (of_arena ? 3U : 1U); ++i) ops.push_back({kOpAccount, 0, thread, fact, i == 0 ? 0 : random() % 12});
  }
}

// The program writes to its blocks here and there, and is asked now and then.
void ask_who_holds(std::vector<Op>& ops, std::uint16_t thread, std::mt19937_64&) {
  for (std::uint64_t owner = 0; owner < kOwners; ++owner) ops.push_back({kOpAccount, 0, thread, kFactKeptWithout, owner});
}

// The program writes to its blocks here and there, and is asked now and then.
template <class Ask>
std::vector<Op> with_questions(const std::vector<Op>& program, std::uint64_t seed, Ask ask) {
  std::mt19937_64 random(seed);
  std::vector<Op> ops;
  for (const Op& op : program) {
    ops.push_back(op);
    if (random() % 4 == 0) ops.push_back({kOpTouch, op.slot, op.thread, random(), 1 + random() % (random() % 3 == 0 ? 1 << 20 : 6000)});
    if (random() % 400 == 0) ask(ops, op.thread, random);
  }
  ask(ops, 0, random);
  return ops;
}

// Runs it on both; false where it cannot run here.
bool same(std::uint64_t seed, const std::string& tunables, const std::vector<Op>& ops, std::vector<std::uint64_t>* answers = nullptr) {
  const auto run = DriverRun::start(HEAP_DRIVER, tunables, ops, true);
  if (!run && run.error().message().starts_with("SKIP")) return false;
  if (!run) {
    ADD_FAILURE() << "seed " << seed << ": " << run.error().message();
    return true;
  }
  const auto difference = compare(*run, ops, parameters_for(tunables));
  if (difference) {
    ADD_FAILURE() << "seed " << seed << ", GLIBC_TUNABLES='" << tunables << "', operation " << difference->op << " "
                  << describe(ops[difference->op]) << ": " << difference->what;
  }
  for (const Answer& answer : run->answers()) {
    if (answers != nullptr) answers->push_back(answer.result);
  }
  return true;
}

TEST(HeapAccounting, EqualsWhatGlibcAndTheKernelSay) {
  const std::uint64_t traces = number_from("FAULTLINE_ACCOUNT_TRACES", 39), first = number_from("FAULTLINE_ACCOUNT_SEED", 1);
  std::uint64_t asked = 0, done = 0;
  std::vector<std::uint64_t> not_zero(kFacts);
  for (std::uint64_t seed = first; done < traces; ++seed) {
    const std::string tunables = tunables_of(seed);
    if (!can_check_residency(tunables)) continue;
    const std::vector<Op> ops = with_questions(make_trace(seed, style_of(seed), 2500), seed, ask_everything);
    std::vector<std::uint64_t> answers;
    if (!same(seed, tunables, ops, &answers)) GTEST_SKIP() << "libc's malloc state is not known, or no seccomp";
    ASSERT_FALSE(HasFailure());
    for (std::size_t i = 0; i < ops.size(); ++i) {
      if (ops[i].kind != kOpAccount) continue;
      ++asked;
      if (answers[i] != 0) ++not_zero[ops[i].a];
    }
    ++done;
  }
  for (std::uint64_t fact = 0; fact < kFactKeptWithout; ++fact) EXPECT_GT(not_zero[fact], 0U) << "fact " << fact << " was never anything but 0";
  std::cout << asked << " facts in " << traces << " programs: no difference\n";
}

// Whose blocks hold what: a child frees them all, calls malloc_trim(0), and what its arenas then keep is what was predicted.
TEST(HeapPins, FreeingAnOwnersBlocksGivesBackWhatTheyHeld) {
  const std::uint64_t traces = number_from("FAULTLINE_ACCOUNT_TRACES", 26), first = number_from("FAULTLINE_ACCOUNT_SEED", 1);
  std::uint64_t done = 0;
  for (std::uint64_t seed = first; done < traces; ++seed) {
    const Style style = style_of(seed);
    if (style > Style::threads) continue;  // all in the main arena
    const std::vector<Op> ops = with_questions(make_trace(seed, style, 2500), seed, ask_who_holds);
    if (!same(seed, kNoCaches + kOneArena, ops)) GTEST_SKIP() << "libc's malloc state is not known, or no seccomp";
    ASSERT_FALSE(HasFailure()) << name_of(style);
    ++done;
  }
}

// One block above freed memory: freeing it, nothing else, lowers the break by what was said. Also in a thread arena, where the heap's
// end comes down, and where a heap goes away.
TEST(HeapPins, FreeingTheHighestBlockLowersTheEndAsPredicted) {
  for (const std::uint16_t thread : {0, 1}) {
    for (const std::uint64_t size : {20000U, 65000U, 100000U, 120001U}) {
      for (const unsigned blocks : {1U, 3U, 10U, 40U, 900U}) {
        std::vector<Op> ops{{kOpMalloc, 9000, 0, 24, 0}, {kOpMalloc, 9001, thread, 24, 0}};
        for (std::uint16_t i = 0; i <= blocks; ++i) ops.push_back({kOpMalloc, i, thread, size, 0});
        for (std::uint16_t i = 0; i < blocks; ++i) ops.push_back({kOpFree, i, thread, 0, 0});
        const auto pin = static_cast<std::uint16_t>(blocks);
        ops.push_back({kOpAccount, pin, thread, kFactFallWithout, 0});
        std::vector<std::uint64_t> answers;
        if (!same(0, kNoCaches, ops, &answers)) GTEST_SKIP() << "libc's malloc state is not known, or no seccomp";
        ASSERT_FALSE(HasFailure()) << "thread " << thread << ", " << blocks << " blocks of " << size;
        if (blocks >= 40) {
          EXPECT_GT(answers.back(), blocks * size / 2) << "thread " << thread << ", " << blocks << " blocks of " << size;
        }
      }
    }
  }
}

}  // namespace
}  // namespace faultline::diff
