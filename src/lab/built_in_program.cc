#include "lab/built_in_program.h"

#include "mm/elf/elf_file.h"

namespace faultline::lab {

namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kBase = 0x40'0000;

constexpr mm::elf::ProgramHeader kSegments[] = {
    {.type = mm::elf::kLoad, .flags = mm::elf::kFlagRead | mm::elf::kFlagExecute, .offset = 0, .vaddr = kBase,
     .filesz = 4 * kPage, .memsz = 4 * kPage, .align = kPage},
    {.type = mm::elf::kLoad, .flags = mm::elf::kFlagRead, .offset = 4 * kPage, .vaddr = kBase + 4 * kPage,
     .filesz = 2 * kPage, .memsz = 2 * kPage, .align = kPage},
    // One page and a half of data; the bss begins in the middle of the second page and has two pages of its own.
    {.type = mm::elf::kLoad, .flags = mm::elf::kFlagRead | mm::elf::kFlagWrite, .offset = 6 * kPage, .vaddr = kBase + 6 * kPage,
     .filesz = kPage + kPage / 2, .memsz = 4 * kPage, .align = kPage},
};

}  // namespace

std::vector<std::uint8_t> built_in_program() {
  const mm::elf::Header header{.type = mm::elf::kTypeExecutable, .machine = mm::elf::kMachineX86_64, .entry = kBase + 0x100,
                               .phoff = mm::elf::kHeaderBytes, .phentsize = mm::elf::kProgramHeaderBytes, .phnum = std::size(kSegments)};
  std::vector<std::uint8_t> file = mm::elf::to_bytes(header, kSegments);
  file.resize(7 * kPage + kPage / 2);
  return file;
}

}  // namespace faultline::lab
