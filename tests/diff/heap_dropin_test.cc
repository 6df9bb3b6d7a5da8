// libfaultline-malloc.so against glibc's malloc: random heap programs run by heap_driver twice, with and without it, and every
// answer compared. What lies in the heap is compared by its distance from the heap's start, what a mapping holds by its
// distance from the mapping. Where address space layout decides what malloc does (64 MiB heaps must be aligned; so must
// blocks aligned to more than a page), only the comparison with the model says it all, which every run has to pass: the model
// is given the kernel's answers of that run, so that all calls and every address must be equal.
//
//   FAULTLINE_HEAP_OPS   how many operations in all      FAULTLINE_HEAP_SEED   where to begin; printed on failure
#include <gtest/gtest.h>

#include <cstdlib>

#include "heap/chunk.h"
#include "heap_compare.h"
#include "heap_tunable_sets.h"

namespace faultline::diff {
namespace {

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

// In every other round no alignment is larger than a page, so that two runs can be compared although the heap's start is random.
bool comparable(std::uint64_t seed) {
  return seed / static_cast<std::uint64_t>(Style::count) % 2 == 0 && style_of(seed) != Style::arena_refusals;
}
std::vector<Op> trace_of(std::uint64_t seed, std::size_t op_count) {
  std::vector<Op> ops = make_trace(seed, style_of(seed), op_count);
  for (Op& op : ops) {
    const bool aligned = op.kind == kOpMemalign || op.kind == kOpPosixMemalign || op.kind == kOpAlignedAlloc;
    if (aligned && comparable(seed) && op.a > 4096 && op.a < 1 << 20) op.a = 4096;
  }
  return ops;
}

bool has_thread_arenas(Style style) { return style > Style::threads; }

// Addresses of one run in terms that another run shares.
class Places {
 public:
  explicit Places(const DriverRun& run) : run_(&run), highest_break_(run.header().start_brk) {}

  // Takes note of the mappings made and moved since the last time.
  void follow(std::uint32_t calls) {
    for (; seen_ < calls; ++seen_) {
      const Call& call = run_->calls()[seen_];
      const bool failed = call.result > ~std::uint64_t{4095};
      if (call.number == kCallBrk) highest_break_ = std::max(highest_break_, call.result);
      if (failed) continue;
      if (call.number == kCallMmap) mappings_.push_back({call.result, call.length, seen_});
      if (call.number == kCallMremap) mappings_.push_back({call.result, call.extra, seen_});
    }
  }
  std::uint64_t from_start(std::uint64_t brk) const { return brk - run_->header().start_brk; }
  std::uint64_t of(std::uint64_t address) const {
    if (address == 0) return 0;
    if (address >= run_->header().start_brk && address <= highest_break_) return address - run_->header().start_brk;
    for (auto mapping = mappings_.rbegin(); mapping != mappings_.rend(); ++mapping) {
      if (address - mapping->start < mapping->length) return (std::uint64_t{mapping->call} + 1) << 48 | (address - mapping->start);
    }
    return address;
  }

 private:
  struct Mapping {
    std::uint64_t start, length;
    std::uint32_t call;
  };
  const DriverRun* run_;
  std::uint64_t highest_break_;
  std::vector<Mapping> mappings_;
  std::uint32_t seen_ = 0;
};

bool gives_block(const Op& op) { return op.kind == kOpRealloc || op.kind < kOpFree || (op.kind > kOpFree && op.kind < kOpTrim); }

// The answers in comparable terms, one text a line: printed when they differ. Thread arenas: offsets in their heaps.
std::string describe(const Op& op, const Answer& a, Places& places, bool arenas, std::uint64_t heap_bytes) {
  places.follow(a.calls);
  std::uint64_t result = a.result;
  if (gives_block(op) && result != 0) {
    if ((a.head & heap::kMmapped) != 0) result = a.offset + heap::kChunkHeader;
    else if ((a.head & heap::kNonMain) != 0) result %= heap_bytes;
    else result = places.of(result);
  } else if (op.kind == kOpSbrk) {
    result = places.of(result);
  }
  return fmt::format(
      "result {:#x} size word {:#x} offset {:#x} brk {:#x} top {:#x} of {:#x} system_mem {:#x} max {:#x} mapped {:#x} in {} thresholds "
      "{:#x} {:#x} arena top {:#x} of {:#x} system_mem {:#x} max {:#x} calls {}",
      result, a.head, a.offset, places.of(a.brk), places.of(a.top), a.top_size, a.system_mem, a.max_system_mem, a.mmapped_bytes,
      a.n_mmaps, a.mmap_threshold, a.trim_threshold, a.arena_top % heap_bytes, a.arena_top_size, a.arena_system_mem,
      a.arena_max_system_mem, arenas ? 0 : a.calls);
}

std::string describe(const Call& call, Places& places) {
  if (call.number == kCallBrk) return fmt::format("brk({:#x})", places.from_start(call.address));
  return fmt::format("call {} ({:#x}, {:#x}, {:#x})", call.number, places.of(call.address), call.length, call.extra);
}

TEST(HeapDropin, AnswersEqualGlibcsAndCallsTheModels) {
  const std::uint64_t total = number_from("FAULTLINE_HEAP_OPS", 350'000);
  const std::uint64_t first_seed = number_from("FAULTLINE_HEAP_SEED", 1);
  constexpr std::uint64_t kOps = 10'000;
  std::uint64_t done = 0, calls = 0, traces = 0, compared = 0;
  for (std::uint64_t seed = first_seed; done < total; ++seed) {
    const Style style = style_of(seed);
    const std::string tunables = tunables_of(seed);
    const std::vector<Op> ops = trace_of(seed, kOps);
    const std::string where = fmt::format("seed {}, style {}, GLIBC_TUNABLES='{}'", seed, name_of(style), tunables);
    const bool residency = can_check_residency(tunables);
    const auto ours = DriverRun::start(HEAP_DRIVER, tunables, ops, residency, DROPIN);
    if (!ours && ours.error().message().starts_with("SKIP")) GTEST_SKIP() << ours.error().message();
    ASSERT_TRUE(ours) << where << ": " << ours.error().message();
    const auto difference = compare(*ours, ops, parameters_for(tunables));
    ASSERT_FALSE(difference) << where << "\noperation " << difference->op << ": " << diff::describe(ops[difference->op]) << "\n" << difference->what;
    done += ops.size();
    calls += ours->calls().size();
    ++traces;
    if (!comparable(seed)) continue;
    const auto libc = DriverRun::start(HEAP_DRIVER, tunables, ops, residency);
    if (!libc && libc.error().message().starts_with("SKIP")) GTEST_SKIP() << libc.error().message();
    ASSERT_TRUE(libc) << where << ": " << libc.error().message();

    const bool arenas = has_thread_arenas(style);
    const std::uint64_t heap_bytes = tunables.find("hugetlb=2") == std::string::npos ? 64U << 20 : 8U << 20;
    Places our_places(*ours), libc_places(*libc);
    for (std::size_t i = 0; i < ops.size(); ++i) {
      ASSERT_EQ(describe(ops[i], ours->answers()[i], our_places, arenas, heap_bytes),
                describe(ops[i], libc->answers()[i], libc_places, arenas, heap_bytes))
          << where << "\noperation " << i << ": " << diff::describe(ops[i]);
    }
    our_places = Places(*ours);
    libc_places = Places(*libc);
    for (std::uint32_t i = 0; !arenas && i < ours->calls().size(); ++i) {
      our_places.follow(i);
      libc_places.follow(i);
      ASSERT_EQ(describe(ours->calls()[i], our_places), describe(libc->calls()[i], libc_places)) << where << "\ncall " << i;
    }
    ++compared;
  }
  std::cout << fmt::format("{} operations in {} traces from seed {}, {} system calls: no difference from the model; {} traces compared with glibc itself: none\n", done,
                           traces, first_seed, calls, compared);
}

}  // namespace
}  // namespace faultline::diff
