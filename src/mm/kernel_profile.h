// A kernel version as data: the constants and the behaviours in which versions differ. Nothing in mm/ writes one of
// these numbers as a literal.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/units.h"

namespace faultline::mm {

inline constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};

enum class ThpMode : std::uint8_t { always, madvise, never };  // sysfs transparent_hugepage/enabled

// sysfs transparent_hugepage/khugepaged.
struct KhugepagedSettings {
  std::uint64_t pages_to_scan = 4096;             // each time it wakes
  std::uint64_t sleep_ns = 10'000'000'000;        // scan_sleep_millisecs
  std::uint64_t max_missing = 511, max_shared = 256;  // max_ptes_none, max_ptes_shared: of the 512 pages of a region
};

struct KernelProfile {
  std::string_view name = "linux-6.18";
  std::uint64_t task_end = 0x7fff'ffff'f000;  // TASK_SIZE with 4 levels: one guard page below 2^47
  std::uint64_t mmap_min_addr = 65536;        // hints and stacks stay above (CONFIG_LSM_MMAP_MIN_ADDR, or the sysctl if greater)
  std::uint64_t dac_mmap_min_addr = 4096;     // sysctl vm.mmap_min_addr as this machine has it: below needs CAP_SYS_RAWIO
  std::uint64_t max_map_count = 65530;        // sysctl vm.max_map_count
  std::uint64_t stack_guard_gap_pages = 256;  // boot parameter stack_guard_gap
  std::uint64_t huge_page_size = 2 * 1024 * 1024;
  bool aligns_huge_anonymous_maps = true;     // since 6.7: an anonymous map of n x 2 MiB without a hint is 2 MiB aligned
  bool mprotect_upgrades_ptes = true;         // since 6.0: making a mapping writable makes its own pages writable at once
  bool madvise_frees_tables = true;           // since 6.14 (PT_RECLAIM): MADV_DONTNEED of 2 MiB gives its table back too
  bool mremap_moves_many_vmas = true;         // since 6.17: MREMAP_FIXED with equal lengths may span several VMAs

  ThpMode thp = ThpMode::madvise;             // as this machine has it
  bool huge_zero_page = true;                 // sysfs transparent_hugepage/use_zero_page
  KhugepagedSettings khugepaged;
  std::uint64_t fault_around_pages = 16;      // debugfs fault_around_bytes: cached neighbours mapped with a page that is read
  bool maps_whole_folios = true;              // since 6.18: a fault on a file's large folio maps all of it

  // execve
  std::uint64_t stack_at_start = 128 * 1024;    // setup_arg_pages(): the stack mapping beyond the strings, as the limit allows
  std::uint64_t mmap_gap_min = 128ull << 20;    // mmap_base(): the mapping area stays this far below the stack at least
  std::uint64_t max_argument_length = 32 * kPageSize;   // MAX_ARG_STRLEN, one string with its NUL
  std::uint64_t argument_bytes_min = 128 * 1024;        // ARG_MAX: allowed whatever the stack limit
  std::uint64_t argument_bytes_max = 6 * 1024 * 1024;   // 3/4 of _STK_LIM
  std::uint64_t secure_stack_limit = 8 * 1024 * 1024;   // _STK_LIM: all a set-id program may use of the stack limit
  std::string_view platform = "x86_64";                 // AT_PLATFORM
  std::uint64_t clock_ticks = 100;                      // AT_CLKTCK: USER_HZ
  // Pages of the mappings the kernel adds for its user-space clock. They follow the kernel's configuration: 0 pages means absent.
  std::uint32_t vvar_pages = 4;
  std::uint32_t vvar_clock_pages = 2;  // a mapping of its own since 6.13
  std::uint32_t vdso_pages = 2;
  std::uint64_t rseq_feature_bytes = 28;  // AT_RSEQ_FEATURE_SIZE, since 6.3; 0: no such entries
  std::uint64_t rseq_alignment = 32;      // AT_RSEQ_ALIGN

  static constexpr KernelProfile linux_6_18() { return {}; }
  // Debian 12's kernel.
  static constexpr KernelProfile linux_6_1() {
    KernelProfile profile;
    profile.name = "linux-6.1";
    profile.dac_mmap_min_addr = 65536;
    profile.aligns_huge_anonymous_maps = false;
    profile.madvise_frees_tables = false;
    profile.maps_whole_folios = false;
    profile.mremap_moves_many_vmas = false;
    profile.vvar_clock_pages = 0;
    profile.rseq_feature_bytes = 0;
    return profile;
  }
};

// getrlimit(2), the limits an address space looks at. Bytes.
struct ResourceLimits {
  std::uint64_t address_space = kUnlimited;  // RLIMIT_AS
  std::uint64_t data = kUnlimited;           // RLIMIT_DATA
  std::uint64_t data_hard = kUnlimited;      // its hard limit
  std::uint64_t stack = 8 * 1024 * 1024;     // RLIMIT_STACK
  std::uint64_t memlock = 8 * 1024 * 1024;   // RLIMIT_MEMLOCK
};

// capabilities(7), the ones memory calls ask for.
struct Capabilities {
  bool ipc_lock = false;   // CAP_IPC_LOCK: RLIMIT_MEMLOCK does not hold
  bool sys_admin = false;  // CAP_SYS_ADMIN: may use the last of the commit limit
  bool sys_rawio = false;  // CAP_SYS_RAWIO: may map below mmap_min_addr
};

}  // namespace faultline::mm
