// ExecFile: an ELF file as something that can be mapped.
#pragma once

#include <cstdint>

#include "mm/elf/elf_file.h"

namespace faultline::mm::elf {

struct ExecFile {
  const ElfFile* elf = nullptr;
  std::uint32_t file = 0;     // Vma::file of its mappings
  bool aligns_huge = false;   // its file system places large mappings at huge page boundaries; see MmapArguments
};

}  // namespace faultline::mm::elf
