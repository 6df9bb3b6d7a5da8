// The parts of the ELF format that the kernel looks at, as values. Layout and numbers: elf(5), 64-bit little-endian.
#pragma once

#include <cstdint>

namespace faultline::mm::elf {

inline constexpr std::uint64_t kHeaderBytes = 64;         // Elf64_Ehdr
inline constexpr std::uint64_t kProgramHeaderBytes = 56;  // Elf64_Phdr
inline constexpr std::uint64_t kProgramHeadersMax = 65536;  // bytes of all program headers
inline constexpr std::uint64_t kPathMax = 4096;           // PATH_MAX, the interpreter's path with its NUL

inline constexpr std::uint16_t kTypeExecutable = 2;  // ET_EXEC: linked for fixed addresses
inline constexpr std::uint16_t kTypeDynamic = 3;     // ET_DYN: runs anywhere (PIE, static PIE, shared object, ld.so)
inline constexpr std::uint16_t kMachineX86_64 = 62;  // EM_X86_64
inline constexpr std::uint16_t kMachineI386 = 3;     // EM_386

inline constexpr std::uint32_t kLoad = 1;                  // PT_LOAD
inline constexpr std::uint32_t kInterpreter = 3;           // PT_INTERP
inline constexpr std::uint32_t kGnuStack = 0x6474'e551;    // PT_GNU_STACK

inline constexpr std::uint32_t kFlagExecute = 1;  // PF_X
inline constexpr std::uint32_t kFlagWrite = 2;    // PF_W
inline constexpr std::uint32_t kFlagRead = 4;     // PF_R

// Elf64_Ehdr. What the kernel never reads (class, byte order, version, sections) is not here.
struct Header {
  std::uint16_t type = 0;
  std::uint16_t machine = 0;
  std::uint64_t entry = 0;
  std::uint64_t phoff = 0;
  std::uint16_t phentsize = 0;
  std::uint16_t phnum = 0;
};

// Elf64_Phdr.
struct ProgramHeader {
  std::uint32_t type = 0;
  std::uint32_t flags = 0;
  std::uint64_t offset = 0;  // bytes into the file
  std::uint64_t vaddr = 0;
  std::uint64_t filesz = 0;
  std::uint64_t memsz = 0;
  std::uint64_t align = 0;
  bool operator==(const ProgramHeader&) const = default;
};

}  // namespace faultline::mm::elf
