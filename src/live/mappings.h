// The mappings of a process and what of each is resident: /proc/PID/smaps (proc(5); fs/proc/task_mmu.c show_smap). The kernel walks the
// page tables for it, so these figures are exact; it is the process's own user, or CAP_SYS_PTRACE, that may read it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace faultline::live {

struct Mapping {
  std::uint64_t start = 0, end = 0;
  char permissions[5] = "----";  // rwxp, as in maps
  std::uint64_t offset = 0, inode = 0;
  std::string path;  // "/usr/lib/...", "[heap]", "[anon:name]" or empty
  std::uint64_t rss_bytes = 0, pss_bytes = 0, swapped_bytes = 0;
  std::uint64_t anonymous_bytes = 0;  // of rss: private pages without a file behind them, copies of file pages included
  std::uint64_t dirty_bytes = 0;      // of rss, private and shared
  std::uint64_t shared_bytes = 0;     // of rss: other processes have them too
  std::uint64_t huge_bytes = 0;       // of rss, in transparent huge pages
  std::uint64_t locked_bytes = 0;

  std::uint64_t size_bytes() const { return end - start; }
  bool readable() const { return permissions[0] == 'r'; }
  bool writable() const { return permissions[1] == 'w'; }
  bool executable() const { return permissions[2] == 'x'; }
  bool shared() const { return permissions[3] == 's'; }
  bool inaccessible() const { return permissions[0] == '-' && permissions[1] == '-' && permissions[2] == '-'; }  // PROT_NONE
  bool file() const { return inode != 0; }
  bool anonymous() const { return inode == 0 && (path.empty() || path.starts_with("[anon")); }
};

// Rising addresses. Lines that are none are passed over.
std::vector<Mapping> parse_smaps(std::string_view text);

}  // namespace faultline::live
