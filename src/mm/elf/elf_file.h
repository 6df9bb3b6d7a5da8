// ElfFile: what execve learns from an ELF file before it gives up the old address space.
// Counterpart: the first half of load_elf_binary(), load_elf_phdrs() and elf_read() (fs/binfmt_elf.c, Linux 6.18).
//
// Any bytes may come in. What the kernel accepts is accepted and what it refuses is refused, with its errno: it looks at
// the magic, type, machine and program headers only, never at class, byte order, version or sections.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/result.h"
#include "mm/elf/elf_format.h"
#include "mm/errno.h"

namespace faultline::mm::elf {

// The beginning of a file: the header as it is, sound or not, and the program headers right behind it. What nobody reads is as elf(5) has it.
std::vector<std::uint8_t> to_bytes(const Header& header, std::span<const ProgramHeader> segments);

struct Refusal {
  Errno error = Errno::noexec;  // what execve(2) answers
  Error place;                  // offset, field, wanted, found; for people. Without the file's name
};

// PT_GNU_STACK's wish; `unset` leaves it to the architecture, which on x86-64 means not executable.
enum class StackWish : std::uint8_t { unset, executable, not_executable };

enum class Role : std::uint8_t { program, interpreter };

class ElfFile {
 public:
  // bytes: the whole file; nothing of it is kept.
  static Result<ElfFile, Refusal> parse(std::span<const std::uint8_t> bytes, Role role);

  const Header& header() const { return header_; }
  const std::vector<ProgramHeader>& program_headers() const { return program_headers_; }
  const std::optional<std::string>& interpreter() const { return interpreter_; }  // a program's PT_INTERP
  StackWish stack_wish() const { return stack_wish_; }
  std::uint64_t file_bytes() const { return file_bytes_; }

  // Bytes from the first page of the lowest PT_LOAD to the end of the highest; 0 without one.
  std::uint64_t total_mapping_size() const;
  // The largest power of two among the PT_LOADs' p_align, rounded up to pages; 0 when there is none.
  std::uint64_t maximum_alignment() const;

 private:
  ElfFile() = default;

  Header header_;
  std::vector<ProgramHeader> program_headers_;
  std::optional<std::string> interpreter_;
  StackWish stack_wish_ = StackWish::unset;
  std::uint64_t file_bytes_ = 0;
};

}  // namespace faultline::mm::elf
