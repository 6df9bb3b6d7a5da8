// Random programs of memory calls, on this kernel and on the twin, compared after every call: result and errno, minor
// faults of the call, the mappings, and which pages have an entry or a frame.
//
// FAULTLINE_MM_PROGRAMS: how many (default 2500). FAULTLINE_MM_SEED: the first seed (default 1); program i uses seed + i,
// so that a difference is run again alone with FAULTLINE_MM_SEED=<seed> FAULTLINE_MM_PROGRAMS=1.
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "kernel_process.h"
#include "twin_process.h"

namespace faultline::spec {
namespace {

constexpr int kCalls = 40;
constexpr std::uint64_t kRoom = 64;  // pages of the window that programs use: small, so that calls meet

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Program {
 public:
  explicit Program(std::uint64_t seed) : random_(seed) {}

  Call next() {
    switch (below(16)) {
      case 0:
      case 1:
      case 2: return map();
      case 3: return {Op::munmap, address(), length()};
      case 4:
      case 5: return {Op::mprotect, address(), length(), pick({0, 1, 3, 3, 3, 5, 7})};
      case 6:
      case 7: return remap();
      case 8:
      case 9: return {Op::madvise, address(), length(), pick({4, 4, 4, 8, 14, 15, 0, 1, 2, 3, 20, 22, 23, 23, 99})};
      case 10: return {Op::brk, below(8) == 0 ? ~std::uint64_t{0} : below(24 * kPage)};
      default: return {Op::touch, page(), (1 + below(12)) * kPage, below(3) != 0 ? 1u : 0u};
    }
  }

 private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  std::uint64_t pick(std::initializer_list<std::uint64_t> choices) { return choices.begin()[below(choices.size())]; }
  std::uint64_t page() { return kWindow + below(kRoom) * kPage; }
  std::uint64_t address() { return below(50) == 0 ? page() + 1 + below(kPage - 1) : page(); }  // now and then misaligned
  std::uint64_t length() {
    if (below(40) == 0) return 0;
    return (1 + below(16)) * kPage - (below(10) == 0 ? below(kPage) : 0);
  }
  Call map() {
    const std::uint64_t placing = pick({0x10, 0x10, 0x10, 0x10, 0, 0x100000});
    const std::uint64_t extra = pick({0, 0, 0, 0, 0, 0x4000, 0x8000, 0x20000});
    const std::uint64_t kind = below(60) == 0 ? 0 : 2;
    return {Op::mmap, address(), length(), pick({0, 1, 3, 3, 3, 3, 7}), 0x20 | kind | placing | extra};
  }
  Call remap() {
    const std::uint64_t flags = pick({0, 0, 1, 3, 3, 3, 3, 5, 7, 2, 8});
    std::uint64_t old_length = length();
    std::uint64_t new_length = below(3) == 0 ? old_length : length();
    if (flags == 5 && below(4) != 0) new_length = old_length;
    return {Op::mremap, address(), old_length, new_length, flags, address()};
  }

  std::mt19937_64 random_;
};

// Runs one program on both; the first difference in words, or nothing.
std::string compare(KernelProcess& kernel, std::uint64_t seed) {
  TwinProcess twin;
  kernel.run({Op::reset});
  Program program(seed);
  std::string story;
  for (int step = 0; step < kCalls; ++step) {
    const Call call = program.next();
    const Answer real = kernel.run(call);
    const Answer modelled = twin.run(call);
    story += fmt::format("  {} = {}\n", call.to_string(), real.to_string());
    const auto at = [&](const char* what, const std::string& k, const std::string& t) {
      return fmt::format("seed {}, call {}: {}\n{}  kernel: {}\n  twin:   {}", seed, step, what, story, k, t);
    };
    if (real != modelled) return at("answer", real.to_string(), modelled.to_string());
    const auto real_maps = kernel.mappings();
    const auto twin_maps = twin.mappings();
    if (real_maps != twin_maps) return at("mappings", to_string(real_maps), to_string(twin_maps));
    if (call.op == Op::brk && kernel.heap() != twin.heap()) {
      return at("heap", to_string(kernel.heap()), to_string(twin.heap()));
    }
    const auto real_pages = kernel.pages(kWindow, 2 * kRoom * kPage);
    const auto twin_pages = twin.pages(kWindow, 2 * kRoom * kPage);
    if (real_pages != twin_pages) {
      return at("pages", fmt::format("{}", fmt::join(real_pages, "")), fmt::format("{}", fmt::join(twin_pages, "")));
    }
    twin.space().check_invariants();
  }
  return {};
}

TEST(RandomCalls, TwinEqualsKernel) {
  const std::uint64_t programs = setting("FAULTLINE_MM_PROGRAMS", 2500);
  const std::uint64_t first = setting("FAULTLINE_MM_SEED", 1);
  std::printf("seeds %llu to %llu, %d calls each\n", static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(first + programs - 1), kCalls);
  KernelProcess kernel;
  std::uint64_t different = 0;
  for (std::uint64_t i = 0; i < programs; ++i) {
    const std::string difference = compare(kernel, first + i);
    if (difference.empty()) continue;
    if (++different <= 3) ADD_FAILURE() << difference;
  }
  EXPECT_EQ(different, 0u) << "programs that differ, of " << programs;
}

}  // namespace
}  // namespace faultline::spec
