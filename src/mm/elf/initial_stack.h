// InitialStack: the stack a program starts with, byte for byte, from the strings at its top down to argc.
// Counterpart: bprm_mm_init(), bprm_stack_limits(), copy_strings(), setup_arg_pages() (fs/exec.c) and create_elf_tables()
// (fs/binfmt_elf.c), with ASLR off.
//
//   0x7ffffffff000  end of the mapping
//                   8 zero bytes
//                   filename                    AT_EXECFN
//                   envp strings, argv strings  the last string of each highest
//                   "x86_64"                    AT_PLATFORM, below the strings rounded down to 16
//                   16 random bytes             AT_RANDOM
//                   auxiliary vector            pairs, ends with AT_NULL
//                   envp, argv                  pointers, each ends with 0
//   stack pointer   argc                        a multiple of 16
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "mm/elf/script.h"
#include "mm/elf/start_arguments.h"
#include "mm/space/address_space.h"

namespace faultline::mm::elf {

struct AuxEntry {
  std::uint64_t type = 0;
  std::uint64_t value = 0;
  bool operator==(const AuxEntry&) const = default;
};

// What the auxiliary vector says about the loaded files.
struct LoadedAddresses {
  std::uint64_t vdso = 0;              // 0: none
  std::uint64_t program_headers = 0;   // AT_PHDR
  std::uint64_t program_header_count = 0;
  std::uint64_t interpreter_base = 0;  // AT_BASE
  std::uint64_t entry = 0;             // AT_ENTRY
};

class InitialStack {
 public:
  explicit InitialStack(AddressSpace& space) : space_(space) {}

  // The stack mapping and the strings. E2BIG: too many or too long, or the stack limit is in the way.
  Result<void, Errno> copy_strings(const StartArguments& arguments);
  // The program is a script: its interpreter takes the place of argv[0]. name: the script's own, as it was asked for.
  Result<void, Errno> rewrite_for(const ScriptLine& script, std::string_view name);
  // Rights and size of the mapping.
  Result<void, Errno> set_up(bool executable);
  // Everything below the strings.
  Result<void, Errno> create_tables(const StartArguments& arguments, const LoadedAddresses& loaded);

  std::uint64_t stack_pointer() const { return pointer_; }
  std::uint64_t arg_start() const { return arg_start_; }
  std::uint64_t arg_end() const { return arg_end_; }
  std::uint64_t env_end() const { return env_end_; }
  const std::vector<AuxEntry>& auxv() const { return auxv_; }
  std::vector<std::uint8_t> bytes() const;  // from the stack pointer to the end of the mapping

 private:
  Result<void, Errno> check_counts(const StartArguments& arguments);
  Result<void, Errno> push_string(std::string_view text);
  Result<void, Errno> push_strings(const std::vector<std::string>& strings);
  std::uint64_t push_bytes(std::span<const std::uint8_t> bytes);
  void fill_auxv(const StartArguments& arguments, const LoadedAddresses& loaded);
  bool store(std::uint64_t address, std::uint64_t word);
  bool touch(std::uint64_t low, std::uint64_t high);  // the kernel writes there, highest page first
  std::uint8_t& at(std::uint64_t address) { return below_top_[top_ - 1 - address]; }
  std::uint64_t string_bytes(std::uint64_t address) const;  // with the NUL

  AddressSpace& space_;
  std::uint64_t top_ = 0;         // end of the mapping
  std::uint64_t pointer_ = 0;     // bprm->p
  std::uint64_t lowest_ = 0;      // bprm->argmin: strings may not go below
  std::uint64_t filename_ = 0;
  std::uint64_t platform_ = 0;
  std::uint64_t random_ = 0;
  std::uint64_t arg_start_ = 0, arg_end_ = 0, env_end_ = 0;
  std::uint64_t argc_ = 0, envc_ = 0;
  std::vector<AuxEntry> auxv_;
  std::vector<std::uint8_t> below_top_;  // contents, [i] is the byte at top_ - 1 - i
};

}  // namespace faultline::mm::elf
