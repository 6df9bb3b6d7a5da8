#include "lab/built_in_program.h"

#include <cstring>

#include "mm/elf/elf_format.h"

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
  std::vector<std::uint8_t> file(7 * kPage + kPage / 2);
  const auto put = [&file](std::size_t at, auto value) { std::memcpy(file.data() + at, &value, sizeof value); };
  std::memcpy(file.data(), "\177ELF\2\1\1", 7);
  put(16, mm::elf::kTypeExecutable);
  put(18, mm::elf::kMachineX86_64);
  put(24, kBase + 0x100);
  put(32, std::uint64_t{mm::elf::kHeaderBytes});
  put(54, static_cast<std::uint16_t>(mm::elf::kProgramHeaderBytes));
  put(56, static_cast<std::uint16_t>(std::size(kSegments)));
  std::size_t at = mm::elf::kHeaderBytes;
  for (const mm::elf::ProgramHeader& segment : kSegments) {
    put(at, segment.type);
    put(at + 4, segment.flags);
    put(at + 8, segment.offset);
    put(at + 16, segment.vaddr);
    put(at + 24, segment.vaddr);
    put(at + 32, segment.filesz);
    put(at + 40, segment.memsz);
    put(at + 48, segment.align);
    at += mm::elf::kProgramHeaderBytes;
  }
  return file;
}

}  // namespace faultline::lab
