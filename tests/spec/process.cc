#include "process.h"

#include <fmt/format.h>

namespace faultline::spec {

namespace {
// Addresses of the window as "W+pages", other numbers in hexadecimal.
std::string place(std::uint64_t address) {
  if (address < kWindow || address > kWindow + kWindowBytes) return fmt::format("{:#x}", address);
  const std::uint64_t offset = address - kWindow;
  return offset % kPage == 0 ? fmt::format("W+{}", offset / kPage) : fmt::format("W+{}.{:#x}", offset / kPage, offset % kPage);
}
std::string bytes(std::uint64_t n) { return n % kPage == 0 ? fmt::format("{}p", n / kPage) : fmt::format("{:#x}", n); }
}  // namespace

std::string Call::to_string() const {
  switch (op) {
    case Op::mmap:
    case Op::mmap_keep: return fmt::format("mmap({}, {}, prot {}, flags {:#x})", place(a), bytes(b), c, d);
    case Op::munmap: return fmt::format("munmap({}, {})", place(a), bytes(b));
    case Op::mprotect: return fmt::format("mprotect({}, {}, prot {})", place(a), bytes(b), c);
    case Op::mremap:
    case Op::mremap_keep: return fmt::format("mremap({}, {}, {}, flags {}, {})", place(a), bytes(b), bytes(c), d, place(e));
    case Op::madvise: return fmt::format("madvise({}, {}, {})", place(a), bytes(b), c);
    case Op::brk: return fmt::format("brk(start + {})", static_cast<std::int64_t>(a));
    case Op::touch: return fmt::format("touch({}, {}, {})", place(a), bytes(b), c != 0 ? "write" : "read");
    case Op::reset: return "reset";
    case Op::mlock: return fmt::format("mlock2({}, {}, {})", place(a), bytes(b), c);
    case Op::munlock: return fmt::format("munlock({}, {})", place(a), bytes(b));
    case Op::mlockall: return fmt::format("mlockall({})", a);
    case Op::munlockall: return "munlockall()";
    case Op::msync: return fmt::format("msync({}, {}, {})", place(a), bytes(b), c);
    case Op::mincore: return fmt::format("mincore({}, {})", place(a), bytes(b));
    case Op::limit: return c != 0 ? fmt::format("no limit {}", a) : fmt::format("limit {} to {} more", a, bytes(b));
    case Op::fork: return fmt::format("fork() = process {}", a);
    case Op::exit: return "exit";
    case Op::open: return fmt::format("file {} = {}, {}, written by {}{}", a, b == 0 ? "disk" : "tmpfs", bytes(c), bytes(d), e != 0 ? ", read-only" : "");
    case Op::map_file: return fmt::format("mmap({}, {}, prot {}, flags {:#x}, file {}, page {})", place(a), bytes(b), c, d, e >> 32, e & 0xffff'ffff);
    case Op::truncate: return fmt::format("truncate(file {}, {})", a, bytes(b));
    case Op::huge: return a != 0 ? "huge pages" : "no huge pages";
    case Op::fsync: return fmt::format("fsync(file {})", a);
  }
  return "?";
}

std::string Answer::to_string() const {
  const std::string what = error != 0 ? fmt::format("errno {}", error)
                           : value == kElsewhere ? "elsewhere" : place(static_cast<std::uint64_t>(value));
  return fmt::format("{}, {} refused ({} no access), {} minor faults, {} major", what, refused, no_access, minor_faults,
                     major_faults);
}

std::string to_string(const std::vector<Mapping>& mappings) {
  std::string text;
  for (const Mapping& m : mappings) {
    text += fmt::format(" [{} {}p {}{}{}]", place(m.start), (m.end - m.start) / kPage, (m.prot & 1) != 0 ? 'r' : '-',
                        (m.prot & 2) != 0 ? 'w' : '-', (m.prot & 4) != 0 ? 'x' : '-');
  }
  return text.empty() ? " (none)" : text;
}

}  // namespace faultline::spec
