// SegmentMapper: maps one PT_LOAD after the other. Counterpart: elf_map(), elf_load() and padzero() (fs/binfmt_elf.c).
#pragma once

#include "mm/elf/exec_file.h"
#include "mm/space/address_space.h"

namespace faultline::mm::elf {

class SegmentMapper {
 public:
  SegmentMapper(AddressSpace& space, const ExecFile& file) : space_(space), file_(file) {}

  // Maps the segment so that its p_vaddr comes to lie at `address`, and returns where its first page is. kind: kMapFixed,
  // kMapFixedNoReplace, or 0 to treat the address as a hint. total_bytes: not 0 for the first segment of a file that may lie
  // anywhere: place for all of it is found first.
  Result<std::uint64_t, Errno> load(std::uint64_t address, const ProgramHeader& segment, MapFlags kind,
                                    std::uint64_t total_bytes);

 private:
  Result<std::uint64_t, Errno> map(std::uint64_t address, const ProgramHeader& segment, MapFlags kind,
                                   std::uint64_t total_bytes);
  bool clear_rest_of_page(std::uint64_t from, const ProgramHeader& segment);

  AddressSpace& space_;
  const ExecFile& file_;
};

inline bool bad_address(const AddressSpace& space, std::uint64_t address) {  // BAD_ADDR()
  return address >= space.profile().task_end;
}

}  // namespace faultline::mm::elf
