// What a recording holds, decoded: the vocabulary between the recorder (which produces it) and replay (which consumes it).
// All times are nanoseconds since the start of the recording. Addresses are those of the recorded process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace faultline::trace {

using Pid = std::int32_t;
using Tid = std::int32_t;
using StackId = std::uint32_t;  // index into StackTable; 0 is "no stack"

enum class HeapOp : std::uint8_t {
  malloc,       // a = size
  calloc,       // a = count, b = size
  realloc,      // a = size, b = old pointer   (reallocarray too: a = count * size)
  free,         // b = pointer                 (never NULL: free(NULL) is not recorded)
  memalign,     // a = size, b = alignment     (posix_memalign, aligned_alloc and valloc too)
  pvalloc,      // a = size
  mallopt,      // a = parameter, b = value (both as int sign-extended), result = return value
  malloc_trim,  // a = pad, result = return value
};

// Flag bits glibc keeps in the chunk header, read right after the call returned (facts: malloc_chunk size word).
enum HeapFlag : std::uint8_t {
  kChunkMmapped = 1,     // the block has a mapping of its own
  kChunkNonMain = 2,     // the block belongs to a thread arena
  kForeignHeader = 4,    // the allocator is not glibc's: header bits mean nothing
};

struct HeapEvent {
  std::uint64_t begin_ns = 0;  // just before the real function was called
  std::uint64_t end_ns = 0;    // just after it returned; equal to begin_ns + 0 when shorter than the recorder's resolution
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::uint64_t result = 0;  // returned pointer (0 on failure) or value
  Tid tid = 0;
  StackId stack = 0;
  HeapOp op = HeapOp::malloc;
  std::uint8_t flags = 0;  // HeapFlag of the returned block; of the freed block for free

  // Position in the causal order of all threads: a block appears after malloc returned and is gone before free is called.
  std::uint64_t order_ns() const { return op == HeapOp::free ? begin_ns : end_ns; }
};

// A thread's last turn in the allocator (record --turns): glibc empties its cache now, between the heap events before and after.
struct ThreadEnd {
  std::uint64_t time_ns = 0;
  Tid tid = 0;
};

// Residency of one block seen by the recorder (mincore(2)) just before it was freed, reallocated, or the process ended.
// Independent of fault records. runs alternates: pages resident, pages not resident, pages resident, ...
// Pages of a block, and whether they still held what they held when the block was given to the program.
struct ContentRun {
  std::uint32_t pages = 0;
  std::uint8_t first = 0, last = 0;  // if it changed: the first and last line (64 bytes) of the page that did
  bool changed = false;
  bool compared = false;  // false: nothing is known
  bool zero = false;      // nothing but zeroes now
  bool cleared = false;   // more of the lines that held something became zero than stayed the same
};

struct TouchObservation {
  std::uint64_t time_ns = 0;  // the begin_ns of the free/realloc it precedes, or the time of the process's end
  std::uint64_t address = 0;  // first page looked at (page aligned)
  Tid tid = 0;
  bool at_exit = false;       // a whole anonymous mapping at the end of the process, not one block
  std::vector<std::uint32_t> runs;
  // Not empty: this is no residency (no runs) but what a sample of the blocks of a page and more held, from the page `address` lies
  // in; address is the block's own. at_exit: one block that was alive at the end.
  std::vector<ContentRun> contents{};
};

// Arguments are those of the kernel's ABI but for three: pkey_mprotect is an mprotect whose args[3] is 1 + the key, setrlimit a
// prlimit of pid 0, and prlimit has the new soft and hard limit in args[4] and [5], or kUnknownLimit. Of prctl only the options
// that concern memory are kept. A pointer's target is not known otherwise; what io_setup and shmat map, a MappingEvent tells.
enum class CallKind : std::uint8_t {
  brk, mmap, munmap, mremap, madvise, mprotect,  // what malloc calls; the only ones a wrapped record can hold
  mlock, mlock2, munlock, mlockall, munlockall, msync, mincore, remap_file_pages, shmat, shmdt, process_madvise,
  prlimit, prctl, mbind, mseal, map_shadow_stack, io_setup, io_destroy,
};
inline constexpr std::size_t kCallKindCount = 24;
inline constexpr std::size_t kMallocCallKinds = 6;  // brk to mprotect
inline constexpr std::uint64_t kUnknownLimit[2] = {1, 0};  // soft above hard: no limit can be that
constexpr bool is_malloc_call(CallKind kind) { return kind <= CallKind::mprotect; }
const char* call_name(CallKind kind);
unsigned argument_count(CallKind kind);  // an mprotect with a key has one more
enum class CallSource : std::uint8_t {
  tracepoint,  // every call the kernel saw, also those inside libc (by tracepoints or ptrace)
  wrapped,     // only calls that went through the dynamic symbol; libc's own are missing
};

struct MemoryCall {
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
  std::uint64_t args[6] = {};   // as in the kernel's ABI
  std::int64_t result = 0;      // -errno on failure
  Tid tid = 0;
  CallKind kind = CallKind::brk;
  CallSource source = CallSource::tracepoint;
};

enum class FaultKind : std::uint8_t { minor, major };
enum class FaultAccess : std::uint8_t { unknown, read, write, execute };  // of the page fault's error code

struct FaultEvent {
  std::uint64_t time_ns = 0;
  std::uint64_t address = 0;  // the address touched, byte exact
  std::uint64_t ip = 0;       // the instruction; a kernel address when the kernel touched it for the program
  Tid tid = 0;
  FaultKind kind = FaultKind::minor;
  FaultAccess access = FaultAccess::unknown;  // known where the page_fault tracepoints could be read
};

// A loaded file: symbolisation reads it later, so the build id is kept.
struct Module {
  std::uint64_t start = 0, end = 0;  // mapped addresses, whole image
  std::uint64_t bias = 0;            // address in memory minus address in the file's symbol table (l_addr)
  std::string path;
  std::string build_id;              // hex; empty if the file has none
};

struct RssSample {  // polled from /proc/PID/statm while the program ran
  std::uint64_t time_ns = 0;
  std::uint64_t rss_bytes = 0;
};

// One line of /proc/PID/maps as text is kept in ProcessInfo; this is the part others need.
struct ProcessInfo {
  Pid pid = 0;
  Pid parent = 0;
  bool forked_without_exec = false;  // heap state was inherited: its malloc cannot be replayed from empty
  bool is_main = false;              // the command itself
  std::string exe;
  std::vector<std::string> command;
  std::uint64_t start_ns = 0, end_ns = 0;

  std::vector<std::string> earlier_images;  // what this pid ran before its last execve; not part of this process's events

  // Start state, read at the first malloc-family call (before it reached the allocator).
  std::string allocator;             // path of the object that provides malloc; glibc's libc.so.6 or another
  std::string allocator_build_id;
  std::string glibc_version;         // gnu_get_libc_version(), empty if not glibc
  std::string start_maps;            // /proc/PID/maps
  std::uint64_t start_report_ns = 0;  // when they were read; 0: not told (recordings of earlier versions)
  std::uint64_t arg_start = 0;       // lowest of the strings execve put into the stack (mm->arg_start); 0: not known
  std::uint64_t initial_brk = 0;     // sbrk(0): where the heap will begin
  std::string tunables;              // GLIBC_TUNABLES, empty if unset
  std::vector<std::string> environment;  // the other variables that matter: MALLOC_*_, LD_LIBRARY_PATH, LD_PRELOAD of the program itself
  std::string thp_mode;              // always, madvise, never
  int cpus_online = 0;

  // End state. exit_seen is false when the program was killed before it could tell.
  bool exit_seen = false;
  std::uint64_t exit_report_ns = 0;  // when it told: its last instructions, and their faults, come after
  int wait_status = 0;               // as wait(2); only known for the command itself
  std::string exit_maps;
  std::uint64_t rss_peak_bytes = 0;  // VmHWM less recorder_rss_bytes
  std::uint64_t rss_end_bytes = 0;   // VmRSS at exit less recorder_rss_bytes
  std::uint64_t recorder_rss_bytes = 0;  // resident bytes of the recorder's own mappings at exit
  std::uint64_t minor_faults = 0, major_faults = 0;  // rusage of the process, whole life since exec
  std::uint64_t recorder_faults = 0; // minor faults on the recorder's own mappings (recorded, or by populating): not the program's
  std::uint64_t earlier_recorder_faults = 0;  // those of earlier_images; not in minor_faults
  std::uint64_t unattributed_minor = 0, unattributed_major = 0;  // rusage minus recorded events minus the recorder's own
  std::uint64_t lost_fault_records = 0, lost_call_records = 0, lost_task_records = 0, lost_heap_events = 0;
  std::uint64_t lost_turns = 0;      // of Meta::turns: so often the order of two threads' calls is not known after all
  std::vector<std::pair<std::uint64_t, std::uint64_t>> recorder_ranges;  // [start, end) of the recorder's own mappings
};

// What one thing costs on the machine that recorded, measured by the recorder right there.
struct MachineCosts {
  double minor_fault_ns = 0;        // first touch of an anonymous page, warm memory, without perf
  double brk_ns = 0, mmap_ns = 0, munmap_ns = 0, munmap_page_ns = 0, madvise_ns = 0, mremap_ns = 0;
  double malloc_free_pair_ns = 0;   // hot tcache pair
};

struct Meta {
  std::uint32_t format_version = 0;
  std::string tool_version;
  std::vector<std::string> command;
  std::string kernel_release;
  std::string machine;               // CPU model, for the report's heading
  bool faults_recorded = false, kernel_mode_faults = false, calls_exact = false;
  std::string calls_by;              // tracepoints, ptrace, wrapped or none
  bool fault_access = false;         // FaultEvent::access is known
  bool turns = false;                // one thread at a time was in the allocator: heap events never overlap
  bool mappings_recorded = false;    // Recording::mapping_events() holds every mapping that was made
  std::vector<std::string> missing;  // one line each: what could not be recorded and why
  MachineCosts costs;
  std::uint64_t wall_ns = 0, user_ns = 0, system_ns = 0;  // of the command, with the recorder
  std::uint64_t memory_limit_bytes = 0;  // of the control group it ran in; 0: none, or not known
  std::uint64_t clock_zero_ns = 0;   // the start of the recording on CLOCK_MONOTONIC_RAW; 0: not told (earlier versions)
};

}  // namespace faultline::trace
