// Where the kernel puts mappings that name no place: random mmap, munmap and mremap(MAYMOVE) beside everything a real
// process has, address for address. FAULTLINE_MM_PLACEMENTS: programs (default 300), FAULTLINE_MM_SEED: the first seed.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/auxv.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "kernel_process.h"
#include "twin_process.h"

namespace faultline::spec {
namespace {

constexpr int kCalls = 60;

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// execve maps the ELF interpreter first, so it ends where the mapping area begins.
std::uint64_t mmap_base(const std::vector<Mapping>& present) {
  std::uint64_t end = ::getauxval(AT_BASE);
  for (const Mapping& m : present) {
    if (m.start == end) end = m.end;
  }
  return end;
}

struct Block {
  std::uint64_t address = 0, length = 0;
};

std::string compare(KernelProcess& kernel, std::uint64_t seed, std::uint64_t base) {
  TwinProcess twin(kernel.everything(), base);
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t n) { return random() % n; };
  std::vector<Block> blocks;
  std::string story;
  std::string difference;
  const auto both = [&](const Call& call) {
    const Answer real = kernel.run(call);
    const Answer modelled = twin.run(call);
    story += fmt::format("  {} = {}\n", call.to_string(), real.to_string());
    if (real != modelled) difference = fmt::format("seed {}\n{}  twin: {}", seed, story, modelled.to_string());
    return real;
  };
  const auto length = [&]() -> std::uint64_t {
    switch (below(8)) {
      case 0: return (1 + below(4)) * 512 * kPage;             // whole huge pages
      case 1: return ((1 + below(3)) * 512 - 1 + below(3)) * kPage;  // nearly
      default: return (1 + below(60)) * kPage;
    }
  };
  for (int step = 0; step < kCalls && difference.empty(); ++step) {
    const std::uint64_t choice = below(10);
    if (choice < 5 || blocks.empty()) {
      const std::uint64_t bytes = length();
      std::uint64_t hint = 0;
      if (below(6) == 0 && !blocks.empty()) hint = blocks[below(blocks.size())].address - below(40) * kPage;
      const Answer answer = both({Op::mmap_keep, hint, bytes, below(2) != 0 ? 3u : 1u, 0x22});
      if (answer.error == 0) blocks.push_back({static_cast<std::uint64_t>(answer.value), bytes});
    } else {
      const std::size_t at = below(blocks.size());
      Block& block = blocks[at];
      if (choice < 8) {
        const std::uint64_t bytes = below(3) == 0 ? (1 + below(block.length / kPage)) * kPage : block.length;
        both({Op::munmap, block.address, bytes});
        block = {block.address + bytes, block.length - bytes};
        if (block.length == 0) blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(at));
      } else {
        const std::uint64_t bytes = length();
        const Answer answer = both({Op::mremap_keep, block.address, block.length, bytes, 1});
        if (answer.error == 0) block = {static_cast<std::uint64_t>(answer.value), bytes};
      }
    }
  }
  for (const Block& block : blocks) kernel.run({Op::munmap, block.address, block.length});
  return difference;
}

TEST(Placement, TwinEqualsKernel) {
  const std::uint64_t programs = setting("FAULTLINE_MM_PLACEMENTS", 300);
  const std::uint64_t first = setting("FAULTLINE_MM_SEED", 1);
  std::printf("seeds %llu to %llu\n", static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(first + programs - 1));
  KernelProcess kernel;
  const std::uint64_t base = mmap_base(kernel.everything());
  std::uint64_t different = 0;
  for (std::uint64_t i = 0; i < programs; ++i) {
    const std::string difference = compare(kernel, first + i, base);
    if (difference.empty()) continue;
    if (++different <= 2) ADD_FAILURE() << fmt::format("mmap_base {:#x}, ", base) << difference;
  }
  EXPECT_EQ(different, 0u);
}

}  // namespace
}  // namespace faultline::spec
