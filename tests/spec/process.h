// What a spec may ask of a process's memory. Two implementations: KernelProcess (this kernel, in a child of its own)
// and TwinProcess. A spec is written once and holds for both.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace faultline::spec {

inline constexpr std::uint64_t kPage = 4096;
// All addresses of a spec lie in this window, far from anything a process maps by itself; the break is measured from
// its start.
inline constexpr std::uint64_t kWindow = 0x2000'0000'0000;  // also outside what AddressSanitizer keeps for itself
inline constexpr std::uint64_t kWindowBytes = std::uint64_t{1} << 30;

enum class Op : std::uint32_t {
  mmap, munmap, mprotect, mremap, madvise, brk, touch, reset, mmap_keep, mremap_keep, fork, exit,
  mlock, munlock, mlockall, munlockall, msync, mincore, limit,
  open, map_file, truncate, fsync, huge
};

// One call. a..e are the arguments in the order of the system call; mmap: address length prot flags; mremap: address old new flags
// new_address; brk: signed distance from the break's start; touch: address length write.
// mlock: address length flags; mincore: address length, answers one bit per page (at most 63); limit: setrlimit of
// resource a (RLIMIT_*) to b bytes more than the process used of it when it was reset, or none with c = 1.
// open (for programs): slot kind bytes chunk, see TestFile; e 1: for reading only. map_file: address length prot flags, e
// slot << 32 | page of the file. truncate: slot bytes. fsync: slot. huge: 1 with transparent huge pages, 0 without.
// fork: number of the child; fork and exit are for programs (program.h), a Process has fork() and its destructor.
// What mmap and mremap put outside the window is unmapped at once; the _keep forms leave it and answer its address.
struct Call {
  Op op = Op::reset;
  std::uint64_t a = 0, b = 0, c = 0, d = 0, e = 0;
  std::string to_string() const;
};

struct Answer {
  std::int64_t value = 0;          // the call's result; outside the window kElsewhere; brk: distance from its start
  std::int32_t error = 0;          // errno, 0 done
  std::uint32_t refused = 0;       // touch: pages that answered with a signal
  std::uint32_t no_access = 0;     // of these SEGV_ACCERR: there is a mapping and it forbids
  std::uint64_t minor_faults = 0;  // during the call, of the process that makes it
  std::uint64_t major_faults = 0;
  bool operator==(const Answer&) const = default;
  std::string to_string() const;
};
inline constexpr std::int64_t kElsewhere = -2;

struct Mapping {
  std::uint64_t start = 0, end = 0;
  std::uint32_t prot = 0;  // PROT_*
  bool operator==(const Mapping&) const = default;
};
std::string to_string(const std::vector<Mapping>& mappings);

class TestFile;

class Process {
 public:
  virtual ~Process() = default;  // exits
  // The child; it has nothing of the parent's but its memory, and lives until it is destroyed.
  virtual std::unique_ptr<Process> fork() = 0;
  virtual Answer run(const Call& call) = 0;
  // Transparent huge pages as the system has them, or none (the default).
  virtual void allow_huge_pages(bool allow) = 0;
  // Until khugepaged has been through with everything: false if it does not within a while.
  virtual bool wait_for_khugepaged() = 0;
  virtual std::uint64_t huge_bytes() = 0;  // of the window: AnonHugePages
  // The file behind slot 0 to 3, for this process and the children it forks from now on.
  virtual void open(std::uint32_t slot, const TestFile& file, bool writable = true) = 0;
  virtual std::vector<Mapping> mappings() = 0;  // of the window, ascending
  virtual std::vector<Mapping> heap() = 0;      // between the start of the break and the window, relative to that start
  // One per page of [address, address + bytes): 0 nothing; 1 the zero page, or an anonymous frame that others map too; 2 an
  // anonymous frame of its own; 3 a frame of a file or of shared memory; 4 the same, mapped by nobody else.
  // bytes <= 64 MiB. Unmapped pages are 0.
  virtual std::vector<std::uint8_t> pages(std::uint64_t address, std::uint64_t bytes) = 0;

  // Short forms.
  Answer mmap(std::uint64_t address, std::uint64_t length, std::uint32_t prot = 3, std::uint32_t flags = 0x32) {
    return run({Op::mmap, address, length, prot, flags});
  }
  Answer munmap(std::uint64_t address, std::uint64_t length) { return run({Op::munmap, address, length}); }
  Answer mprotect(std::uint64_t address, std::uint64_t length, std::uint32_t prot) {
    return run({Op::mprotect, address, length, prot});
  }
  Answer madvise(std::uint64_t address, std::uint64_t length, int advice) {
    return run({Op::madvise, address, length, static_cast<std::uint64_t>(advice)});
  }
  Answer mremap(std::uint64_t address, std::uint64_t old_length, std::uint64_t new_length, std::uint32_t flags,
                std::uint64_t place = 0) {
    return run({Op::mremap, address, old_length, new_length, flags, place});
  }
  Answer map_file(std::uint64_t address, std::uint64_t length, std::uint32_t prot, std::uint32_t flags, std::uint32_t slot = 0,
                  std::uint64_t page = 0) {
    return run({Op::map_file, address, length, prot, flags, std::uint64_t{slot} << 32 | page});
  }
  Answer brk(std::int64_t distance) { return run({Op::brk, static_cast<std::uint64_t>(distance)}); }
  Answer touch(std::uint64_t address, std::uint64_t length, bool write) {
    return run({Op::touch, address, length, write ? 1u : 0u});
  }
  Answer mlock(std::uint64_t address, std::uint64_t length, std::uint32_t flags = 0) {
    return run({Op::mlock, address, length, flags});
  }
  Answer munlock(std::uint64_t address, std::uint64_t length) { return run({Op::munlock, address, length}); }
  Answer mlockall(std::uint32_t flags) { return run({Op::mlockall, flags}); }
  Answer munlockall() { return run({Op::munlockall}); }
  Answer msync(std::uint64_t address, std::uint64_t length, std::uint32_t flags) {
    return run({Op::msync, address, length, flags});
  }
  Answer mincore(std::uint64_t address, std::uint64_t length) { return run({Op::mincore, address, length}); }
  Answer limit(std::uint32_t resource, std::uint64_t bytes) { return run({Op::limit, resource, bytes}); }
  Answer no_limit(std::uint32_t resource) { return run({Op::limit, resource, 0, 1}); }
  std::uint64_t write(std::uint64_t address, std::uint64_t length) { return touch(address, length, true).minor_faults; }
  std::uint64_t read(std::uint64_t address, std::uint64_t length) { return touch(address, length, false).minor_faults; }
};

}  // namespace faultline::spec
