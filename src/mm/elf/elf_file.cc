#include "mm/elf/elf_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>

#include "base/units.h"

namespace faultline::mm::elf {

namespace {

using Bytes = std::span<const std::uint8_t>;

// The fields that are read, with their offsets in Elf64_Ehdr.
template <typename Visit>
void each_field(Header& header, Visit visit) {
  visit(16, header.type);
  visit(18, header.machine);
  visit(24, header.entry);
  visit(32, header.phoff);
  visit(54, header.phentsize);
  visit(56, header.phnum);
}

// And in Elf64_Phdr.
template <typename Visit>
void each_field(ProgramHeader& header, Visit visit) {
  visit(0, header.type);
  visit(4, header.flags);
  visit(8, header.offset);
  visit(16, header.vaddr);
  visit(32, header.filesz);
  visit(40, header.memsz);
  visit(48, header.align);
}

// Little-endian, as x86-64 has it.
template <typename Fields>
Fields read(Bytes bytes) {
  Fields fields;
  each_field(fields, [&](std::size_t at, auto& field) {
    field = 0;
    for (std::size_t i = 0; i < sizeof field; ++i) field |= static_cast<std::remove_reference_t<decltype(field)>>(std::uint64_t{bytes[at + i]} << (8 * i));
  });
  return fields;
}

template <typename Integer>
void put(std::span<std::uint8_t> bytes, std::size_t at, Integer value) {
  for (std::size_t i = 0; i < sizeof value; ++i) bytes[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

template <typename Fields>
void write(std::span<std::uint8_t> bytes, Fields fields) {
  each_field(fields, [&](std::size_t at, auto value) { put(bytes, at, value); });
}

template <typename... Args>
auto refuse(Errno error, fmt::format_string<Args...> format, Args&&... args) {
  return fail(Refusal{error, make_error(format, std::forward<Args>(args)...)});
}

std::string_view machine_name(std::uint16_t machine) {
  switch (machine) {
    case kMachineI386: return " (i386: 32-bit programs are not modelled)";
    case 40: return " (ARM)";
    case 183: return " (AArch64)";
    case 243: return " (RISC-V)";
    default: return "";
  }
}

// kernel_read() of [offset, offset + length): file offsets are signed, and a file that ends early is an error of its own.
std::optional<Errno> unreadable(std::uint64_t offset, std::uint64_t length, std::uint64_t file_bytes) {
  constexpr std::uint64_t sign = std::uint64_t{1} << 63;
  if (offset >= sign || offset + length >= sign) return Errno::inval;
  if (offset > file_bytes || length > file_bytes - offset) return Errno::io;
  return std::nullopt;
}

}  // namespace

std::vector<std::uint8_t> to_bytes(const Header& header, std::span<const ProgramHeader> segments) {
  std::vector<std::uint8_t> bytes(kHeaderBytes + segments.size() * kProgramHeaderBytes);
  const std::span<std::uint8_t> all(bytes);
  std::memcpy(bytes.data(), "\177ELF\2\1\1", 7);          // 64 bits, little-endian, version 1
  put(all, 20, std::uint32_t{1});                           // e_version
  put(all, 52, static_cast<std::uint16_t>(kHeaderBytes));   // e_ehsize
  write(all, header);
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const auto place = all.subspan(kHeaderBytes + i * kProgramHeaderBytes, kProgramHeaderBytes);
    write(place, segments[i]);
    put(place, 24, segments[i].vaddr);  // p_paddr
  }
  return bytes;
}

Result<ElfFile, Refusal> ElfFile::parse(Bytes bytes, Role role) {
  const bool program = role == Role::program;
  const Errno wrong_kind = program ? Errno::noexec : Errno::libbad;
  // A program's first bytes arrive in a zeroed buffer, so a file that is too short reads as zeros.
  std::array<std::uint8_t, kHeaderBytes> start{};
  std::copy_n(bytes.begin(), std::min<std::size_t>(bytes.size(), start.size()), start.begin());
  if (!program && bytes.size() < kHeaderBytes) {
    return refuse(Errno::io, "offset 0: wanted the {} bytes of an ELF header, found {}", kHeaderBytes, bytes.size());
  }
  if (std::memcmp(start.data(), "\177ELF", 4) != 0) {
    return refuse(wrong_kind, "offset 0: e_ident: wanted 7f 45 4c 46 (ELF), found {:02x} {:02x} {:02x} {:02x}{}", start[0],
                  start[1], start[2], start[3], bytes.size() < 4 ? ", the file is shorter" : "");
  }
  ElfFile file;
  file.file_bytes_ = bytes.size();
  file.header_ = read<Header>(start);
  const Header& header = file.header_;
  if (program && header.type != kTypeExecutable && header.type != kTypeDynamic) {
    return refuse(wrong_kind, "offset 16: e_type: wanted 2 (executable) or 3 (position independent), found {}", header.type);
  }
  if (header.machine != kMachineX86_64) {
    return refuse(wrong_kind, "offset 18: e_machine: wanted 62 (x86-64), found {}{}", header.machine,
                  machine_name(header.machine));
  }
  if (header.phentsize != kProgramHeaderBytes) {
    return refuse(wrong_kind, "offset 54: e_phentsize: wanted {}, found {}", kProgramHeaderBytes, header.phentsize);
  }
  const std::uint64_t table_bytes = header.phnum * kProgramHeaderBytes;
  if (table_bytes == 0 || table_bytes > kProgramHeadersMax) {
    return refuse(wrong_kind, "offset 56: e_phnum: wanted 1 to {} program headers, found {}",
                  kProgramHeadersMax / kProgramHeaderBytes, header.phnum);
  }
  if (unreadable(header.phoff, table_bytes, bytes.size())) {
    return refuse(wrong_kind, "offset 32: e_phoff: wanted {} program headers ({} bytes) at {:#x}, the file ends at {:#x}",
                  header.phnum, table_bytes, header.phoff, bytes.size());
  }
  file.program_headers_.reserve(header.phnum);
  for (std::size_t i = 0; i < header.phnum; ++i) {
    file.program_headers_.push_back(
        read<ProgramHeader>(bytes.subspan(header.phoff + i * kProgramHeaderBytes, kProgramHeaderBytes)));
  }
  for (const ProgramHeader& segment : file.program_headers_) {
    if (segment.type != kGnuStack) continue;  // the last one counts
    file.stack_wish_ = (segment.flags & kFlagExecute) != 0 ? StackWish::executable : StackWish::not_executable;
  }
  const auto interp = std::find_if(file.program_headers_.begin(), file.program_headers_.end(),
                                   [](const ProgramHeader& segment) { return segment.type == kInterpreter; });
  if (!program || interp == file.program_headers_.end()) return file;

  const auto index = static_cast<std::uint64_t>(interp - file.program_headers_.begin());
  const std::uint64_t at = header.phoff + index * kProgramHeaderBytes;
  if (interp->filesz < 2 || interp->filesz > kPathMax) {
    return refuse(Errno::noexec, "offset {:#x}: program header {} (PT_INTERP): p_filesz: wanted a path of 2 to {} bytes, found {}",
                  at + 32, index, kPathMax, interp->filesz);
  }
  if (const auto error = unreadable(interp->offset, interp->filesz, bytes.size())) {
    return refuse(*error, "offset {:#x}: program header {} (PT_INTERP): p_offset: wanted {} bytes at {:#x}, the file ends at {:#x}",
                  at + 8, index, interp->filesz, interp->offset, bytes.size());
  }
  const Bytes path = bytes.subspan(interp->offset, interp->filesz);
  if (path.back() != 0) {
    return refuse(Errno::noexec, "offset {:#x}: path of the interpreter: wanted a NUL at its end, found {:02x}",
                  interp->offset + interp->filesz - 1, path.back());
  }
  file.interpreter_.emplace(path.begin(), std::find(path.begin(), path.end(), 0));
  return file;
}

std::uint64_t ElfFile::total_mapping_size() const {
  std::uint64_t lowest = ~std::uint64_t{0};
  std::uint64_t highest = 0;
  bool any = false;
  for (const ProgramHeader& segment : program_headers_) {
    if (segment.type != kLoad) continue;
    lowest = std::min(lowest, page_floor(segment.vaddr));
    highest = std::max(highest, segment.vaddr + segment.memsz);
    any = true;
  }
  return any ? highest - lowest : 0;
}

std::uint64_t ElfFile::maximum_alignment() const {
  std::uint64_t alignment = 0;
  for (const ProgramHeader& segment : program_headers_) {
    if (segment.type == kLoad && std::has_single_bit(segment.align)) alignment = std::max(alignment, segment.align);
  }
  return page_ceil(alignment);
}

}  // namespace faultline::mm::elf
