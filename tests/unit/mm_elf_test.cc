// ELF files that are damaged, cut off or foreign: what the parser says of them, and that no bytes trouble parser or loader. What
// the kernel makes of such files is in tests/diff.
#include <gtest/gtest.h>

#include <random>

#include "mm/backing/open_file.h"
#include "mm/elf/loader.h"
#include "mm/elf/mmap_layout.h"
#include "mm/elf/script.h"
#include "mm/machine/machine.h"
#include "support/elf_builder.h"

namespace faultline::mm::elf {
namespace {

using support::ElfRecipe;

ElfRecipe sound() {
  ElfRecipe made;
  made.segments = {{.type = kLoad, .flags = 5, .filesz = 0x1800, .memsz = 0x1800, .align = 0x1000},
                   {.type = kLoad, .flags = 6, .offset = 0x1800, .vaddr = 0x2800, .filesz = 0x400, .memsz = 0x4000, .align = 0x1000},
                   {.type = kGnuStack, .flags = 6, .align = 16}};
  made.file_bytes = 0x1c00;
  return made;
}

std::string refusal(const ElfRecipe& recipe, Errno error, Role role = Role::program) {
  const auto parsed = ElfFile::parse(recipe.bytes(), role);
  if (parsed) return "accepted";
  EXPECT_EQ(parsed.error().error, error) << name_of(parsed.error().error);
  EXPECT_EQ(parsed.error().place.message().find('\n'), std::string::npos);
  return parsed.error().place.message();
}

TEST(Elf, HeadersAreRead) {
  ElfRecipe recipe = sound();
  recipe.set_interpreter("/lib64/ld-linux-x86-64.so.2");
  const auto parsed = ElfFile::parse(recipe.bytes(), Role::program);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->header().entry, 0x1000u);
  EXPECT_EQ(parsed->program_headers(), recipe.segments);
  EXPECT_EQ(parsed->interpreter(), "/lib64/ld-linux-x86-64.so.2");
  EXPECT_EQ(parsed->stack_wish(), StackWish::not_executable);
  EXPECT_EQ(parsed->total_mapping_size(), 0x6800u);
  EXPECT_EQ(parsed->maximum_alignment(), 0x1000u);
  EXPECT_EQ(parsed->file_bytes(), 0x1c00u);
  EXPECT_FALSE(ElfFile::parse(recipe.bytes(), Role::interpreter)->interpreter()) << "an interpreter has none itself";
}

TEST(Elf, ARefusalNamesThePlace) {
  ElfRecipe recipe = sound();
  recipe.header.type = 1;
  EXPECT_EQ(refusal(recipe, Errno::noexec), "offset 16: e_type: wanted 2 (executable) or 3 (position independent), found 1");
  recipe = sound();
  recipe.header.machine = 183;
  EXPECT_EQ(refusal(recipe, Errno::noexec), "offset 18: e_machine: wanted 62 (x86-64), found 183 (AArch64)");
  EXPECT_EQ(refusal(recipe, Errno::libbad, Role::interpreter), "offset 18: e_machine: wanted 62 (x86-64), found 183 (AArch64)");
  recipe = sound();
  recipe.header.phentsize = 32;
  EXPECT_EQ(refusal(recipe, Errno::noexec), "offset 54: e_phentsize: wanted 56, found 32");
  recipe = sound();
  recipe.header.phnum = 2000;
  EXPECT_EQ(refusal(recipe, Errno::noexec), "offset 56: e_phnum: wanted 1 to 1170 program headers, found 2000");
  recipe = sound();
  recipe.header.phoff = 0x1bff;
  EXPECT_EQ(refusal(recipe, Errno::noexec),
            "offset 32: e_phoff: wanted 3 program headers (168 bytes) at 0x1bff, the file ends at 0x1c00");
  recipe = sound();
  recipe.set_interpreter("/lib/ld.so");
  recipe.segments[0].offset = ~0ull;
  EXPECT_EQ(refusal(recipe, Errno::inval),
            "offset 0x48: program header 0 (PT_INTERP): p_offset: wanted 11 bytes at 0xffffffffffffffff, the file ends at 0x1c00");
  recipe.segments[0].offset = 0x1bff;
  EXPECT_NE(refusal(recipe, Errno::io).find("the file ends at 0x1c00"), std::string::npos);
  recipe.segments[0].offset = ElfRecipe::kInterpreterOffset;
  recipe.segments[0].filesz = 10;
  EXPECT_EQ(refusal(recipe, Errno::noexec), "offset 0xe09: path of the interpreter: wanted a NUL at its end, found 6f");
  recipe.segments[0].filesz = 1;
  EXPECT_EQ(refusal(recipe, Errno::noexec),
            "offset 0x60: program header 0 (PT_INTERP): p_filesz: wanted a path of 2 to 4096 bytes, found 1");
}

TEST(Elf, NoElfAtAll) {
  const std::vector<std::uint8_t> text = {'h', 'i'};
  EXPECT_EQ(ElfFile::parse(text, Role::program).error().place.message(),
            "offset 0: e_ident: wanted 7f 45 4c 46 (ELF), found 68 69 00 00, the file is shorter");
  EXPECT_EQ(ElfFile::parse({}, Role::program).error().error, Errno::noexec);
  EXPECT_EQ(ElfFile::parse(text, Role::interpreter).error().error, Errno::io);
}

struct Twin {
  FrameTable frames;
  std::unique_ptr<AddressSpace> space;

  explicit Twin(const ResourceLimits& limits = {}) {
    const KernelProfile profile = KernelProfile::linux_6_18();
    space = std::make_unique<AddressSpace>(frames, profile, layout_at_start(profile, limits), limits);
  }
  Result<StartState, ExecFailure> start(const ElfFile& program, const ElfFile* interpreter, const StartArguments& arguments) {
    const ExecFile first{&program, 1, true};
    const ExecFile second{interpreter, 2, false};
    auto state = load(*space, first, interpreter != nullptr ? &second : nullptr, arguments);
    space->check_invariants();
    return state;
  }
};

TEST(Elf, AStartInFull) {
  ElfRecipe recipe = sound();
  recipe.set_interpreter("/ld.so");
  const auto program = ElfFile::parse(recipe.bytes(), Role::program);
  const auto interpreter = ElfFile::parse(sound().bytes(), Role::interpreter);
  Twin twin;
  const auto state = twin.start(*program, &*interpreter, {.filename = "/bin/x", .argv = {"x", "y"}, .envp = {"A=b"}});
  ASSERT_TRUE(state);
  EXPECT_EQ(state->load_bias, 0x5555'5555'4000u);
  EXPECT_EQ(state->loaded.interpreter_base, 0x7fff'f7ff'f000u - 0x7000u);
  EXPECT_EQ(state->entry, state->loaded.interpreter_base + 0x1000);
  EXPECT_EQ(twin.space->start_brk().value, 0x5555'5555'4000u + 0x7000u);
  EXPECT_EQ(state->stack_pointer % 16, 0u);
  EXPECT_EQ(state->stack.size(), 0x7fff'ffff'f000u - state->stack_pointer);
  EXPECT_EQ(state->auxv.back(), AuxEntry{});
  // One page of stack, one page each where data ends and bss begins.
  EXPECT_EQ(twin.space->statistics().minor_faults(), 3u);
}

TEST(Elf, LayoutFollowsTheStackLimit) {
  const KernelProfile profile = KernelProfile::linux_6_18();
  const auto base = [&](std::uint64_t stack, bool set_id = false) {
    return layout_at_start(profile, {.stack = stack}, set_id).mmap_base.value;
  };
  EXPECT_EQ(base(8 << 20), 0x7fff'f7ff'f000u);
  EXPECT_EQ(base(0), 0x7fff'f7ff'f000u);
  EXPECT_EQ(base(256 << 20), 0x7fff'ffff'f000u - (257ull << 20));
  EXPECT_EQ(base(256 << 20, true), 0x7fff'f7ff'f000u);
  EXPECT_EQ(base(kUnlimited), page_ceil(profile.task_end - profile.task_end / 6 * 5));
}

TEST(Elf, KernelsWithoutTheNewerEntries) {
  FrameTable frames;
  const KernelProfile profile = KernelProfile::linux_6_1();
  AddressSpace space(frames, profile, layout_at_start(profile, {}));
  const auto program = ElfFile::parse(sound().bytes(), Role::program);
  const auto state = load(space, {&*program, 1, true}, nullptr, {.filename = "p", .argv = {"p"}, .envp = {}});
  ASSERT_TRUE(state);
  for (const AuxEntry& entry : state->auxv) EXPECT_FALSE(entry.type == 27 || entry.type == 28);
  EXPECT_EQ(space.vmas().containing(state->loaded.vdso - 1)->file, kVvarFile);
}

TEST(Elf, AMachineWithoutFrames) {
  const auto program = ElfFile::parse(sound().bytes(), Role::program);
  for (std::uint64_t limit = 1; limit < 12; ++limit) {
    FrameTable frames(limit);
    const KernelProfile profile = KernelProfile::linux_6_18();
    AddressSpace space(frames, profile, layout_at_start(profile, {}));
    const auto state = load(space, {&*program, 1, true}, nullptr, {.filename = "p", .argv = {"p"}, .envp = {}});
    space.check_invariants();
    frames.check_invariants();
    EXPECT_TRUE(limit >= 5 || !state) << "four tables and a page of stack at least";
  }
}

// Single bytes of a sound file changed, and files cut off: refused or loaded, with every invariant kept.
TEST(Elf, DamagedFiles) {
  ElfRecipe recipe = sound();
  recipe.set_interpreter("/ld.so");
  const std::vector<std::uint8_t> whole = recipe.bytes();
  const auto interpreter = ElfFile::parse(sound().bytes(), Role::interpreter);
  std::mt19937 random(1);
  int refused = 0, killed = 0, started = 0;
  for (int i = 0; i < 4000; ++i) {
    std::vector<std::uint8_t> bytes = whole;
    for (int n = 0; n < 1 + i % 3; ++n) bytes[random() % 300] = static_cast<std::uint8_t>(random());
    if (i % 7 == 0) bytes.resize(random() % bytes.size());
    const auto program = ElfFile::parse(bytes, Role::program);
    if (!program) {
      ++refused;
      continue;
    }
    Twin twin;
    const bool named = program->interpreter().has_value();
    ++(twin.start(*program, named ? &*interpreter : nullptr, {.filename = "p", .argv = {"p"}, .envp = {}}) ? started : killed);
  }
  EXPECT_GT(refused, 300);
  EXPECT_GT(killed, 300);
  EXPECT_GT(started, 300);
}

// execve in a machine.
struct Exec : testing::Test {
  std::unique_ptr<Machine> machine = Machine::create();
  Pid pid = machine->start({}, {.stack = 64 << 20}).pid();
  ElfFile program = *ElfFile::parse(sound().bytes(), Role::program);
  StartArguments arguments{.filename = "/bin/program", .argv = {"program"}, .envp = {}};

  void SetUp() override {
    machine->process(pid).run([](AddressSpace& space) {
      (void)space.mmap({.address = VirtAddr(0x10'0000), .length = ByteCount(0x4000), .flags = kMapPrivate | kMapAnonymous | kMapFixed});
    });
    machine->process(pid).access(VirtAddr(0x10'0000), true);
  }
  void TearDown() override { machine->check_invariants(); }
};

TEST_F(Exec, FaultsGoOnAndTheOldMemoryGoes) {
  const auto state = machine->execve(pid, {&program, 1, true}, nullptr, arguments);
  ASSERT_TRUE(state);
  EXPECT_EQ(machine->process(pid).faults(), (FaultCounters{.minor = 3})) << "one before, the strings, the end of the data";
  EXPECT_EQ(machine->process(pid).access(VirtAddr(0x10'0000), false), Access::segv_maperr);
  EXPECT_EQ(machine->process(pid).access(VirtAddr(state->stack_pointer), true), Access::hit);
  EXPECT_EQ(machine->process(pid).space().limits().stack, 64u << 20);
}

TEST_F(Exec, RefusedTheProcessGoesOn) {
  arguments.argv.assign(100, std::string(100'000, 'x'));
  const auto state = machine->execve(pid, {&program, 1, true}, nullptr, arguments);
  ASSERT_FALSE(state);
  EXPECT_EQ(state.error().error, Errno::too_big);
  EXPECT_FALSE(state.error().kills);
  EXPECT_EQ(machine->process(pid).access(VirtAddr(0x10'0000), true), Access::hit);
  EXPECT_GT(machine->process(pid).faults().minor, 1000u) << "strings were copied until there were too many";
}

TEST_F(Exec, TooLateToRefuseItDies) {
  ElfRecipe recipe = sound();
  recipe.segments[1].filesz = recipe.segments[1].memsz + 1;
  const auto broken = ElfFile::parse(recipe.bytes(), Role::program);
  const Pid child = machine->vfork(pid);
  const auto state = machine->execve(child, {&*broken, 1, true}, nullptr, arguments);
  ASSERT_FALSE(state);
  EXPECT_TRUE(state.error().kills);
  EXPECT_EQ(machine->find(child), nullptr);
  EXPECT_FALSE(machine->process(pid).waits_for_vfork());
}

TEST_F(Exec, SetIdProgramsLoseAGreatStackLimit) {
  arguments.secure = true;
  ASSERT_TRUE(machine->execve(pid, {&program, 1, true}, nullptr, arguments));
  EXPECT_EQ(machine->process(pid).space().limits().stack, 8u << 20);
}

// The page where the data ends is read from the disk the first time and found in the page cache afterwards.
TEST_F(Exec, FilesWithAPageCache) {
  FileObject& file = machine->create_file({.size = program.file_bytes()});
  OpenFile* opened = OpenFile::open(file, false, {});
  const ExecFile image{&program, 0, false, opened};
  ASSERT_TRUE(machine->execve(pid, image, nullptr, arguments));
  EXPECT_EQ(machine->process(pid).faults(), (FaultCounters{.minor = 2, .major = 1}));
  EXPECT_EQ(file.cached_pages(), 2u) << "the whole file was read ahead";
  ASSERT_TRUE(machine->execve(pid, image, nullptr, arguments));
  EXPECT_EQ(machine->process(pid).faults(), (FaultCounters{.minor = 4, .major = 1}));
  machine->check_invariants();
  machine->truncate(file, 0x1000);
  const auto state = machine->execve(pid, image, nullptr, arguments);
  ASSERT_FALSE(state);
  EXPECT_EQ(state.error().error, Errno::fault);
  EXPECT_TRUE(state.error().kills);
  opened->release();
}

TEST_F(Exec, AScriptStartsItsInterpreter) {
  arguments.scripts = {{.interpreter = "/bin/outer", .argument = "-x"}, {.interpreter = "/bin/inner", .argument = std::nullopt}};
  const auto state = machine->execve(pid, {&program, 1, true}, nullptr, arguments);
  ASSERT_TRUE(state);
  const std::string strings(state->stack.begin() + static_cast<std::ptrdiff_t>(state->arg_start - state->stack_pointer),
                            state->stack.begin() + static_cast<std::ptrdiff_t>(state->arg_end - state->stack_pointer));
  EXPECT_EQ(strings, std::string("/bin/inner\0/bin/outer\0-x\0/bin/program\0", 38));
  EXPECT_EQ(state->stack[0], 4u);
}

TEST(Script, Lines) {
  const auto parse = [](std::string_view text) {
    return ScriptLine::parse({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  };
  EXPECT_EQ(parse("#! /bin/sh\t-e x \n")->interpreter, "/bin/sh");
  EXPECT_EQ(parse("#! /bin/sh\t-e x \n")->argument, "-e x");
  EXPECT_FALSE(parse("#!/bin/sh\n")->argument);
  EXPECT_EQ(parse("#!/bin/sh ")->argument, "") << "the end of the file counts as the end of the argument";
  EXPECT_FALSE(parse("#!\n"));
  EXPECT_FALSE(parse("echo"));
  EXPECT_FALSE(parse("#!/" + std::string(400, 'x'))) << "cut off within the name";
  EXPECT_EQ(parse("#!/a " + std::string(400, 'x'))->argument->size(), 250u);
}

}  // namespace
}  // namespace faultline::mm::elf
