// MemoryLook: one process's memory at one moment of a followed recording, as plain data: its mappings, and which pages of
// them are resident in what way. What /proc/PID/smaps and pagemap would have said then.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trace/event.h"

namespace faultline::mm {
class AddressSpace;
}

namespace faultline::replay {

class RecordedFiles;

enum class PageUse : std::uint8_t {
  anonymous,   // a page of its own; in a mapping of a file: a copy made by a write
  file_clean,  // of a file's page cache
  file_dirty,  // the same, written and not yet written back
  shmem,       // shared memory, tmpfs
};

struct LookMapping {
  std::uint64_t start = 0, end = 0;
  std::string name;            // the file's path, "[vdso]"; empty: anonymous, or not known
  bool file = false;           // or shared memory, or the kernel's own
  bool grows_down = false;     // a stack
  bool kernels = false;        // [vvar]: its frames count in no RSS
};

struct PageRun {  // resident pages [start, end) of one mapping that are alike
  std::uint64_t start = 0, end = 0;
  PageUse use = PageUse::anonymous;
  bool huge = false;    // mapped by huge pages
  bool shared = false;  // anonymous, and another process has the page too: since a fork nobody wrote it
  std::uint64_t bytes() const { return end - start; }
};

struct MemoryLook {
  std::uint64_t time_ns = 0;            // since the recording began
  bool there = false;                   // the process lived and was known then
  std::vector<LookMapping> mappings;    // low to high
  std::vector<PageRun> runs;            // low to high
  std::uint64_t program_break = 0, start_of_break = 0;
  std::uint64_t page_table_bytes = 0;   // VmPTE
  std::uint64_t mapped_bytes = 0;       // VmSize

  std::uint64_t resident_bytes() const;
};

MemoryLook look_at(const mm::AddressSpace& space, const RecordedFiles& files);

// What follow() is to look at, in one pass.
struct MemoryLooks {
  trace::Pid pid = 0;
  std::vector<std::uint64_t> wanted_ns;  // ascending: after everything up to then
  std::vector<std::uint64_t> totals_ns;  // ascending: of these moments resident bytes alone
  std::vector<MemoryLook> seen;          // one each of wanted_ns
  std::vector<std::uint64_t> totals;     // one each of totals_ns; 0 where the process was not there
  std::uint64_t peak_ns = 0, peak_bytes = 0;  // when most was resident, from since_ns to until_ns
  std::uint64_t since_ns = 0, until_ns = ~std::uint64_t{0};
  std::vector<trace::FaultEvent> copies;  // writes to pages that a fork had left to both: the process got a copy of its own
  std::uint64_t reuses = 0;  // the same after the other process was gone: the page only becomes writable again
};

}  // namespace faultline::replay
