// The ELF reader and the loader against any bytes: as a program, as its interpreter, as a script's first line.
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "base/assert.h"
#include "mm/elf/loader.h"
#include "mm/elf/mmap_layout.h"
#include "mm/elf/script.h"

namespace {

using namespace faultline;
using namespace faultline::mm;
using namespace faultline::mm::elf;

// What comes before the file: choices about everything but the file.
struct Choices {
  std::uint8_t role;         // program, interpreter of a sound program, both halves
  std::uint8_t stack_limit;
  std::uint8_t space_limit;
  std::uint8_t strings;
};

std::span<const std::uint8_t> sound_program(std::uint16_t type) {
  static std::uint8_t bytes[8192];
  const auto put = [](std::size_t at, auto value) { std::memcpy(bytes + at, &value, sizeof value); };
  std::memcpy(bytes, "\177ELF\2\1\1", 7);
  put(16, type);
  put(18, kMachineX86_64);
  put(24, std::uint64_t{0x400000});
  put(32, kHeaderBytes);
  put(54, static_cast<std::uint16_t>(kProgramHeaderBytes));
  put(56, std::uint16_t{2});
  put(64, kInterpreter);
  put(72, std::uint64_t{300});
  put(96, std::uint64_t{6});
  std::memcpy(bytes + 300, "/ld.so", 6);
  put(120, kLoad);
  put(124, std::uint32_t{6});
  put(136, std::uint64_t{0x400000});
  put(152, std::uint64_t{0x1234});
  put(160, std::uint64_t{0x5000});
  bytes[305] = 0;
  return bytes;
}

void start(const Choices& choices, const ElfFile& program, const ElfFile* interpreter) {
  const KernelProfile profile = KernelProfile::linux_6_18();
  FrameTable frames(4000);
  ResourceLimits limits;
  limits.stack = std::uint64_t{1} << (choices.stack_limit % 64);
  if (choices.space_limit != 0) limits.address_space = std::uint64_t{choices.space_limit} << 13;
  AddressSpace space(frames, profile, layout_at_start(profile, limits), limits);
  const StartArguments arguments{.filename = "/bin/program",
                                 .argv = std::vector<std::string>(choices.strings % 16, std::string(choices.strings * 5u, 'a')),
                                 .envp = {}};
  const ExecFile first{&program, 1, choices.role >= 128};
  const ExecFile second{interpreter, choices.strings >= 128 ? 1u : 2u, choices.stack_limit >= 128};
  const auto state = load(space, first, interpreter != nullptr ? &second : nullptr, arguments);
  space.check_invariants();
  if (!state) return;
  FL_ASSERT(state->entry < profile.task_end && state->stack_pointer % 16 == 0);
  FL_ASSERT(state->stack.size() == profile.task_end - state->stack_pointer);
  (void)space.brk(VirtAddr(space.start_brk().value + 100'000));
  for (const std::uint64_t address : {state->entry, state->stack_pointer - 8, space.start_brk().value}) {
    (void)space.access(VirtAddr(address), true);
    (void)space.access(VirtAddr(address), false);
  }
  space.check_invariants();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Choices choices;
  if (size < sizeof choices) return 0;
  std::memcpy(&choices, data, sizeof choices);
  const std::span<const std::uint8_t> bytes(data + sizeof choices, size - sizeof choices);
  (void)ScriptLine::parse(bytes);
  if (choices.role % 3 == 1) {
    const auto interpreter = ElfFile::parse(bytes, Role::interpreter);
    const auto program = ElfFile::parse(sound_program(choices.role >= 64 ? kTypeDynamic : kTypeExecutable), Role::program);
    FL_ASSERT(program);
    if (interpreter) start(choices, *program, &*interpreter);
    return 0;
  }
  const std::size_t half = choices.role % 3 == 2 ? bytes.size() / 2 : bytes.size();
  const auto program = ElfFile::parse(bytes.first(half), Role::program);
  if (!program) {
    FL_ASSERT(program.error().place.message().find('\n') == std::string::npos);
    return 0;
  }
  if (!program->interpreter()) {
    start(choices, *program, nullptr);
  } else if (const auto interpreter = ElfFile::parse(choices.role % 3 == 2 ? bytes.subspan(half) : bytes, Role::interpreter)) {
    start(choices, *program, &*interpreter);
  }
  return 0;
}
