// ElfRecipe: an ELF file put together field by field, sound or not.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include "mm/elf/elf_file.h"

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
    mm::elf::Header complete = header;
    if (complete.phnum == 0) complete.phnum = static_cast<std::uint16_t>(segments.size());
    std::vector<std::uint8_t> file = mm::elf::to_bytes(complete, segments);
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
