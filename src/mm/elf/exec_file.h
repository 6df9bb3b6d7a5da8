// ExecFile: an ELF file as something that can be mapped.
#pragma once

#include <cstdint>

#include "mm/elf/elf_file.h"

namespace faultline::mm {
class OpenFile;
}

namespace faultline::mm::elf {

struct ExecFile {
  const ElfFile* elf = nullptr;
  std::uint32_t file = 0;       // an opaque file: Vma::file of its mappings
  bool aligns_huge = false;     // its file system places large mappings at huge page boundaries; see MmapArguments
  OpenFile* backing = nullptr;  // or a file with its page cache, from which the two above follow
};

}  // namespace faultline::mm::elf
