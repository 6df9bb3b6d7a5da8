// Random ELF files, sound, odd and damaged, with random interpreters, strings and limits: what execve makes of them on this
// kernel and in the twin. FAULTLINE_ELF_FILES: how many (default 1500), FAULTLINE_ELF_SEED: the first seed.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <random>

#include "base/units.h"
#include "program_start.h"
#include "support/elf_builder.h"

namespace faultline::diff {
namespace {

using namespace mm::elf;
using support::ElfRecipe;

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

struct Case {
  ElfRecipe program;
  std::optional<ElfRecipe> interpreter;
  StartRequest request;

  std::string to_string() const {
    std::string text;
    const auto describe = [&text](const char* what, const ElfRecipe& elf) {
      text += fmt::format("  {}: type {} machine {} entry {:#x} phoff {:#x} phentsize {} phnum {} file_bytes {:#x}\n", what,
                          elf.header.type, elf.header.machine, elf.header.entry, elf.header.phoff, elf.header.phentsize,
                          elf.header.phnum, elf.file_bytes);
      for (const ProgramHeader& segment : elf.segments) {
        text += fmt::format("    type {:#x} flags {} offset {:#x} vaddr {:#x} filesz {:#x} memsz {:#x} align {:#x}\n", segment.type,
                            segment.flags, segment.offset, segment.vaddr, segment.filesz, segment.memsz, segment.align);
      }
    };
    describe("program", program);
    if (interpreter) describe("interpreter", *interpreter);
    std::size_t bytes = 0;
    for (const std::string& string : request.argv) bytes += string.size() + 1;
    return text + fmt::format("  {} arguments of {} bytes, stack limit {:#x}, address space limit {:#x}\n", request.argv.size(), bytes,
                              request.stack_limit, request.address_space_limit);
  }
};

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  Case make(const std::string& folder) {
    Case made;
    const bool with_interpreter = below(3) != 0;
    made.program = elf(below(3) != 0 ? kTypeDynamic : kTypeExecutable);
    if (with_interpreter) {
      made.interpreter = elf(below(8) != 0 ? kTypeDynamic : kTypeExecutable);
      made.program.set_interpreter(folder + "/interpreter");
    }
    damage(made.program);
    if (made.interpreter) damage(*made.interpreter);
    made.request.path = folder + "/program";
    made.request.argv = strings();
    made.request.envp = strings();
    constexpr std::uint64_t stacks[] = {8 << 20, 8 << 20, 8 << 20, 8 << 20, 64 << 10, 256 << 20, 1ull << 40, ~0ull, 4096};
    made.request.stack_limit = pick(stacks);
    if (below(10) == 0) made.request.address_space_limit = below(400) * kPageSize;
    if (below(20) == 0) made.request.data_limit = below(20) * kPageSize;
    return made;
  }

 private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  template <typename T, std::size_t n>
  T pick(const T (&values)[n]) {
    return values[below(n)];
  }

  ElfRecipe elf(std::uint16_t type) {
    ElfRecipe made;
    made.header.type = type;
    constexpr std::uint64_t fixed[] = {0x400000, 0x400000, 0x10000, 0x5555'5555'4000, 0x7fff'f7fc'0000, 0x7fff'fff0'0000, 0x1000'0000};
    constexpr std::uint64_t floating[] = {0, 0, 0, 0, 0x1000, 0x400000, 0x7654'3000};
    std::uint64_t vaddr = type == kTypeExecutable ? pick(fixed) : pick(floating);
    made.header.entry = vaddr + below(8) * 0x800;
    std::uint64_t offset = 0;
    constexpr std::uint32_t flags[] = {4, 5, 6, 6, 4, 5, 6, 7, 0, 2, 1};
    constexpr std::uint64_t alignments[] = {0x1000, 0x1000, 0x1000, 0x1000, 0x1000, 0x4000, 0x10000, 0x200000, 0, 1, 3, 1ull << 30};
    const std::uint64_t align = pick(alignments);
    const std::uint64_t segments = 1 + below(5);
    for (std::uint64_t i = 0; i < segments; ++i) {
      ProgramHeader segment{.type = kLoad, .flags = pick(flags), .offset = offset, .vaddr = vaddr, .align = align};
      segment.filesz = below(8) == 0 ? 0 : below(5 * kPageSize);
      if (below(20) == 0) segment.filesz += below(3) << 20;
      segment.memsz = segment.filesz;
      if (below(3) == 0) segment.memsz += below(4 * kPageSize);
      if (below(12) == 0) segment.memsz += below(64ull << 20);
      made.segments.push_back(segment);
      vaddr += segment.memsz;
      offset += segment.filesz;
      constexpr std::uint64_t gaps[] = {1, 1, 1, 1, 0x10000, 0x200000};
      const std::uint64_t gap = pick(gaps);
      if (below(4) != 0) {
        vaddr = (vaddr + gap * kPageSize) / kPageSize * kPageSize + (below(2) != 0 ? offset % kPageSize : 0);
        offset = below(2) != 0 ? offset / kPageSize * kPageSize + vaddr % kPageSize
                               : (offset + kPageSize) / kPageSize * kPageSize + vaddr % kPageSize;
      } else {
        offset = offset / kPageSize * kPageSize + vaddr % kPageSize;
      }
    }
    for (std::uint64_t n = below(3); n > 0; --n) {
      made.segments.push_back({.type = kGnuStack, .flags = below(2) != 0 ? 6u : 7u, .align = 16});
    }
    if (below(6) == 0) std::shuffle(made.segments.begin(), made.segments.end(), random_);
    made.file_bytes = std::max<std::uint64_t>(offset, 8192);
    if (below(10) == 0) made.file_bytes = 4096 + below(made.file_bytes);
    return made;
  }

  std::uint64_t nasty() {
    constexpr std::uint64_t values[] = {0, 1, 2, 8, 64, 4095, 4096, 4097, 8192, 1ull << 31, (1ull << 47) - 4096, (1ull << 47) - 8192,
                                        1ull << 47, (1ull << 63) - 1, 1ull << 63, ~0ull, ~0ull - 4095, ~0ull - 8191};
    return pick(values);
  }

  void damage(ElfRecipe& elf) {
    for (int n = 0; n < 3 && below(3) == 0; ++n) {
      ProgramHeader& segment = elf.segments[below(elf.segments.size())];
      switch (below(8)) {
        case 0: segment.offset = nasty(); break;
        case 1: segment.vaddr = nasty(); break;
        case 2: segment.filesz = nasty(); break;
        case 3: segment.memsz = nasty(); break;
        case 4: segment.align = nasty(); break;
        case 5: segment.flags = static_cast<std::uint32_t>(below(8)); break;
        case 6: segment.offset += below(5000); break;
        case 7: segment.vaddr += below(3) * kPageSize - kPageSize; break;
      }
    }
    if (below(12) != 0) return;
    switch (below(7)) {
      case 0: elf.header.type = static_cast<std::uint16_t>(below(5)); break;
      case 1: elf.header.machine = below(2) != 0 ? 183 : 0; break;
      case 2: elf.header.phoff = nasty(); break;
      case 3: elf.header.phentsize = static_cast<std::uint16_t>(nasty()); break;
      case 4: elf.header.phnum = static_cast<std::uint16_t>(1 + below(elf.segments.size() + 4)); break;
      case 5: elf.file_bytes = below(600); break;
      case 6: elf.header.entry = nasty(); break;
    }
  }

  std::vector<std::string> strings() {
    std::vector<std::string> made;
    for (std::uint64_t n = below(6); n > 0; --n) made.push_back(std::string(below(300), 'a'));
    if (below(8) == 0) made.push_back(std::string(below(20000), 'b'));
    if (below(40) == 0) made.push_back(std::string(131070 + below(3), 'c'));
    if (below(60) == 0) made.resize(below(40000), "many");
    return made;
  }

  std::mt19937_64 random_;
};

// A segment over the top of the stack brings strings of its own, out of the file; the twin keeps no contents of files.
bool covers_the_strings(const ElfRecipe& elf) {
  constexpr std::uint64_t top = 0x7fff'ffff'f000, most_strings = 6 << 20;
  return std::any_of(elf.segments.begin(), elf.segments.end(), [](const ProgramHeader& segment) {
    const std::uint64_t end = segment.vaddr + std::max(segment.memsz, segment.filesz);
    return segment.type == kLoad && segment.vaddr < top && end > top - most_strings && end <= top;
  });
}

std::string run(const Case& made, const std::string& folder, ProgramStart::Outcome& outcome) {
  made.program.write(folder + "/program");
  if (made.interpreter) made.interpreter->write(folder + "/interpreter");
  const ProgramStart kernel = start_on_kernel(made.request);
  outcome = kernel.outcome;
  const ProgramStart twin = start_in_twin(made.request, random_bytes(kernel));
  // Writing over a file that is there would make ext4 wait for the disk.
  std::filesystem::remove(folder + "/program");
  std::filesystem::remove(folder + "/interpreter");
  return difference(kernel, twin);
}

// Leaves out what the difference does not need.
Case shrink(Case made, const std::string& folder) {
  ProgramStart::Outcome ignored;
  const auto attempt = [&](auto&& change) {
    Case smaller = made;
    change(smaller);
    if (!run(smaller, folder, ignored).empty()) made = smaller;
  };
  attempt([](Case& c) { c.request.argv = {"a"}; });
  attempt([](Case& c) { c.request.envp.clear(); });
  attempt([](Case& c) { c.request.stack_limit = 8 << 20; });
  attempt([](Case& c) { c.request.address_space_limit = ~std::uint64_t{0}; });
  for (std::size_t i = 8; i-- > 0;) {
    attempt([i](Case& c) {
      if (i < c.program.segments.size()) c.program.segments.erase(c.program.segments.begin() + static_cast<std::ptrdiff_t>(i));
    });
    attempt([i](Case& c) {
      if (c.interpreter && i < c.interpreter->segments.size()) {
        c.interpreter->segments.erase(c.interpreter->segments.begin() + static_cast<std::ptrdiff_t>(i));
      }
    });
  }
  return made;
}

TEST(ElfRandom, AnyFile) {
  if (const std::string reason = why_no_kernel(); !reason.empty()) GTEST_SKIP() << "SKIPPED: " << reason;
  const std::string folder = testing::TempDir() + fmt::format("faultline-elf-{}", ::getpid());
  std::filesystem::create_directories(folder);
  const std::uint64_t first = setting("FAULTLINE_ELF_SEED", 1);
  const std::uint64_t count = setting("FAULTLINE_ELF_FILES", 1500);
  std::uint64_t ends[3] = {}, left_out = 0;
  for (std::uint64_t seed = first; seed < first + count && !HasFailure(); ++seed) {
    const Case made = Generator(seed).make(folder);
    if (covers_the_strings(made.program) || (made.interpreter && covers_the_strings(*made.interpreter))) {
      ++left_out;
      continue;
    }
    ProgramStart::Outcome outcome{};
    if (!run(made, folder, outcome).empty()) {
      const Case smallest = shrink(made, folder);
      ADD_FAILURE() << "seed " << seed << ": " << run(smallest, folder, outcome) << "\n" << smallest.to_string();
    }
    ++ends[static_cast<int>(outcome)];
  }
  std::printf("seeds from %lu: %lu started, %lu refused, %lu killed, %lu left out\n", first, ends[0], ends[1], ends[2], left_out);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace faultline::diff
