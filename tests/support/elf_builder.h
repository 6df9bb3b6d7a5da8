// ElfRecipe: an ELF file put together field by field, sound or not.
#pragma once

#include <cstdint>
#include <algorithm>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include "mm/elf/elf_format.h"

namespace faultline::support {

using mm::elf::ProgramHeader;

struct ElfRecipe {
  mm::elf::Header header{.type = mm::elf::kTypeDynamic,
                         .machine = mm::elf::kMachineX86_64,
                         .entry = 0x1000,
                         .phoff = mm::elf::kHeaderBytes,
                         .phentsize = mm::elf::kProgramHeaderBytes};  // phnum: as many as there are segments, unless not 0
  std::vector<ProgramHeader> segments;
  std::string interpreter;       // its bytes lie at kInterpreterOffset; a PT_INTERP segment must be among the segments
  std::uint64_t file_bytes = 0;  // the file ends there; 0: after the headers and the path

  static constexpr std::uint64_t kInterpreterOffset = 0xe00;

  // A PT_INTERP for `path`.
  void set_interpreter(const std::string& path) {
    interpreter = path;
    segments.insert(segments.begin(), {.type = mm::elf::kInterpreter,
                                       .flags = mm::elf::kFlagRead,
                                       .offset = kInterpreterOffset,
                                       .filesz = path.size() + 1,
                                       .memsz = path.size() + 1,
                                       .align = 1});
  }

  // The beginning of the file: what is not zero. With file_bytes it is also the rest, as far as `most` bytes.
  std::vector<std::uint8_t> bytes(std::uint64_t most = ~std::uint64_t{0}) const {
    std::vector<std::uint8_t> file(mm::elf::kHeaderBytes + segments.size() * mm::elf::kProgramHeaderBytes);
    const auto put = [&file](std::size_t at, auto value) {
      if (file.size() < at + sizeof value) file.resize(at + sizeof value);
      std::memcpy(file.data() + at, &value, sizeof value);
    };
    std::memcpy(file.data(), "\177ELF\2\1\1", 7);
    put(16, header.type);
    put(18, header.machine);
    put(20, std::uint32_t{1});
    put(24, header.entry);
    put(32, header.phoff);
    put(52, std::uint16_t{64});
    put(54, header.phentsize);
    put(56, header.phnum != 0 ? header.phnum : static_cast<std::uint16_t>(segments.size()));
    std::size_t at = mm::elf::kHeaderBytes;
    for (const ProgramHeader& segment : segments) {
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
    if (!interpreter.empty()) {
      file.resize(kInterpreterOffset + interpreter.size() + 1);
      std::memcpy(file.data() + kInterpreterOffset, interpreter.c_str(), interpreter.size() + 1);
    }
    if (file_bytes != 0) file.resize(std::min(file_bytes, most));
    return file;
  }

  // An executable file; what lies beyond the headers is a hole.
  void write(const std::string& path) const {
    const std::vector<std::uint8_t> start = bytes(8192);
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(start.data()),
                                                static_cast<std::streamsize>(start.size()));
    if (file_bytes != 0 && ::truncate(path.c_str(), static_cast<off_t>(file_bytes)) != 0) throw std::runtime_error(path);
    ::chmod(path.c_str(), 0755);
  }
};

}  // namespace faultline::support
