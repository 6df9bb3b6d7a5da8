// What random ELF files taught: each was a difference once.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "program_start.h"
#include "support/elf_builder.h"

namespace faultline::diff {
namespace {

using namespace mm::elf;
using support::ElfRecipe;

struct ElfCorpus : testing::Test {
  const std::string folder = testing::TempDir() + fmt::format("faultline-corpus-{}", ::getpid());

  ElfCorpus() { std::filesystem::create_directories(folder); }
  void SetUp() override {
    if (const std::string reason = why_no_kernel(); !reason.empty()) GTEST_SKIP() << "SKIPPED: " << reason;
  }
  ~ElfCorpus() override { std::filesystem::remove_all(folder); }

  static ElfRecipe elf(std::uint16_t type, std::vector<ProgramHeader> segments, std::uint64_t entry = 0x1000) {
    ElfRecipe made;
    made.header.type = type;
    made.header.entry = entry;
    made.segments = std::move(segments);
    made.file_bytes = 0x10000;
    return made;
  }
  ProgramStart expect_equal(ElfRecipe program, const ElfRecipe* interpreter = nullptr) {
    if (interpreter != nullptr) {
      interpreter->write(folder + "/interpreter");
      program.set_interpreter(folder + "/interpreter");
    }
    program.write(folder + "/program");
    const StartRequest request{.path = folder + "/program", .argv = {"a"}, .envp = {}};
    const ProgramStart kernel = start_on_kernel(request);
    EXPECT_EQ(difference(kernel, start_in_twin(request, random_bytes(kernel))), "");
    return kernel;
  }
};

constexpr ProgramHeader kText{.type = kLoad, .flags = 5, .filesz = 0x2000, .memsz = 0x2000, .align = 0x1000};

// Beside a program at fixed addresses the interpreter's own address is a hint, and hints keep above mmap_min_addr.
TEST_F(ElfCorpus, InterpreterWithAHintBelowTheLowestAddress) {
  const ElfRecipe interpreter =
      elf(kTypeDynamic, {{.type = kLoad, .flags = 2, .vaddr = 0x1000, .filesz = 0x428d, .memsz = 0x428d, .align = 0x10000}});
  ElfRecipe program = elf(kTypeExecutable, {{.type = kLoad, .flags = 5, .vaddr = 0x400000, .filesz = 0x1000, .memsz = 0x1000}});
  EXPECT_EQ(expect_equal(program, &interpreter).maps.at(0).start, 0x10000u);
}

// p_filesz of 2^64 - 1 wraps to no page at all; the interpreter's base becomes -4096 and the program starts.
TEST_F(ElfCorpus, InterpreterThatWrapsAround) {
  const ElfRecipe interpreter = elf(kTypeDynamic,
                                    {{.type = kLoad, .flags = 2, .vaddr = 0x400000, .align = 0x200000},
                                     {.type = kLoad, .flags = 6, .vaddr = 0x3ff000, .filesz = ~0ull, .memsz = 0x1230}},
                                    0x400800);
  const ProgramStart kernel = expect_equal(elf(kTypeDynamic, {{.type = kLoad, .memsz = 0x2d94}}, 0), &interpreter);
  EXPECT_EQ(kernel.outcome, ProgramStart::Outcome::started);
  EXPECT_EQ(kernel.instruction_pointer, 0x3ff800u);
}

// A mapping may begin far behind the end of the file, but not where no file could be.
TEST_F(ElfCorpus, SegmentsBehindTheEndOfAllFiles) {
  ProgramHeader far = kText;
  far.offset = 0x7ff'ffff'e000;
  EXPECT_EQ(expect_equal(elf(kTypeDynamic, {far})).outcome, ProgramStart::Outcome::started);
  far.offset = 1ull << 63;
  EXPECT_EQ(expect_equal(elf(kTypeDynamic, {far})).outcome, ProgramStart::Outcome::killed);
}

// The strings are counted before the file is looked at.
TEST_F(ElfCorpus, TooManyStringsComeBeforeADamagedFile) {
  ElfRecipe program = elf(kTypeDynamic, {kText});
  program.header.machine = 183;
  program.write(folder + "/program");
  const StartRequest request{.path = folder + "/program", .argv = {std::string(131073, 'a')}, .envp = {}};
  const ProgramStart kernel = start_on_kernel(request);
  EXPECT_EQ(kernel.number, E2BIG);
  EXPECT_EQ(difference(kernel, start_in_twin(request, {})), "");
}

// Zeros from the end of the data to the end of its page cannot be written where the file has no page.
TEST_F(ElfCorpus, BssOfATruncatedFile) {
  const ProgramHeader data{.type = kLoad, .flags = 6, .offset = 0x3000, .vaddr = 0x3000, .filesz = 0x800, .memsz = 0x3000};
  ElfRecipe program = elf(kTypeDynamic, {kText, data});
  program.file_bytes = 0x3000;
  EXPECT_EQ(expect_equal(program).outcome, ProgramStart::Outcome::killed);
  program.file_bytes = 0x3001;
  EXPECT_EQ(expect_equal(program).outcome, ProgramStart::Outcome::started);
  program.segments[1].flags = 4;  // not writable: nobody minds
  program.file_bytes = 0x3000;
  EXPECT_EQ(expect_equal(program).outcome, ProgramStart::Outcome::started);
}

// Position independent, no interpreter, more than a page of alignment: mapped, looked at, unmapped, mapped aligned.
TEST_F(ElfCorpus, StaticPieWithAlignment) {
  for (const std::uint64_t align : {0x2000ull, 0x10000ull, 0x200000ull, 1ull << 30}) {
    ProgramHeader text = kText;
    text.align = align;
    const ProgramStart kernel = expect_equal(elf(kTypeDynamic, {text, {.type = kLoad, .flags = 6, .offset = 0x2000,
                                                                        .vaddr = 0x5000, .filesz = 0x10, .memsz = 0x4000}}));
    ASSERT_EQ(kernel.outcome, ProgramStart::Outcome::started);
    const auto program = std::find_if(kernel.maps.begin(), kernel.maps.end(), [](const MapsLine& m) { return m.name == "program"; });
    ASSERT_NE(program, kernel.maps.end());
    EXPECT_EQ(program->start % align, 0u);
  }
}

TEST_F(ElfCorpus, TheLastGnuStackCounts) {
  const ProgramHeader yes{.type = kGnuStack, .flags = 7}, no{.type = kGnuStack, .flags = 6};
  EXPECT_EQ(expect_equal(elf(kTypeDynamic, {kText, no, yes})).maps.back().rights, "rwxp");
  EXPECT_EQ(expect_equal(elf(kTypeDynamic, {kText, yes, no})).maps.back().rights, "rw-p");
  EXPECT_EQ(expect_equal(elf(kTypeDynamic, {kText})).maps.back().rights, "rw-p");
}

TEST_F(ElfCorpus, ProgramHeadersFillAtMost64KiB) {
  ElfRecipe program = elf(kTypeDynamic, {kText});
  program.file_bytes = 0x20000;
  program.header.phnum = 1170;
  EXPECT_EQ(expect_equal(program).outcome, ProgramStart::Outcome::started);
  program.header.phnum = 1171;
  EXPECT_EQ(expect_equal(program).number, ENOEXEC);
}

}  // namespace
}  // namespace faultline::diff
