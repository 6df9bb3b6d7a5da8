#include "record/shim/start_record.h"

#include <link.h>
#include <unistd.h>

#include "record/shim/modules.h"
#include "record/shim/process.h"
#include "record/shim/raw_syscall.h"
#include "record/shim/real_functions.h"
#include "record/shim/text.h"

namespace faultline::shim {

namespace {

// "0-3,8" names 5 CPUs.
unsigned count_cpus(const char* list) {
  unsigned count = 0;
  while (*list >= '0' && *list <= '9') {
    const auto first = parse_number(list, 10);
    auto last = first;
    if (*list == '-') last = parse_number(++list, 10);
    count += static_cast<unsigned>(last - first + 1);
    if (*list == ',') ++list;
  }
  return count;
}

void add_thp_mode(Text& text) {
  char modes[128];
  read_file("/sys/kernel/mm/transparent_hugepage/enabled", modes, sizeof modes);
  const char* open = modes;
  while (*open != 0 && *open != '[') ++open;
  if (*open == 0) return;
  const char* close = ++open;
  while (*close != 0 && *close != ']') ++close;
  text.add("thp_mode=").add(open, static_cast<std::size_t>(close - open)).add("\n");
}

void add_environment(Text& text) {
  constexpr char kTunables[] = "GLIBC_TUNABLES=";
  for (char** v = environ; v != nullptr && *v != nullptr; ++v) {
    if (contains(*v, "\n")) continue;  // would break the lines of the text
    if (starts_with(*v, kTunables)) text.add("tunables=").add(*v + sizeof kTunables - 1).add("\n");
    if (starts_with(*v, "MALLOC_") || starts_with(*v, "LD_")) text.add("env=").add(*v).add("\n");
  }
}

}  // namespace

void write_text_and_file(ThreadRing& ring, wire::RecordKind kind, Text& text, const char* path) {
  constexpr std::size_t kPart = 15 * 1024;
  std::size_t used = text.size();
  const long fd = raw_open_read(path);
  for (;;) {
    while (used >= kPart) {  // whole parts; the rest moves to the front
      write_text(ring, kind, ring.scratch, kPart);
      __builtin_memmove(ring.scratch, ring.scratch + kPart, used - kPart);
      used -= kPart;
    }
    const long got = failed(fd) ? 0 : raw_read(fd, ring.scratch + used, kScratchBytes - used);
    if (got <= 0) break;
    used += static_cast<std::size_t>(got);
  }
  if (!failed(fd)) raw_close(fd);
  if (used > 0) write_text(ring, kind, ring.scratch, used);
}

void write_start_record(ThreadRing& ring) {
  Text text(ring.scratch, kScratchBytes - 8192);
  text.add("exe=").add(executable_path()).add("\n");
  if (real.allocator != nullptr) {
    const char* path = *real.allocator->l_name != 0 ? real.allocator->l_name : executable_path();
    text.add("allocator=").add(path).add("\n");
    CodeObject object;
    char build_id[136];
    if (find_code_object(reinterpret_cast<std::uint64_t>(real.allocator->l_ld), object)) {
      read_build_id(object, build_id, sizeof build_id);
      text.add("allocator_build_id=").add(build_id).add("\n");
    }
  }
  if (real.gnu_get_libc_version != nullptr) text.add("glibc_version=").add(real.gnu_get_libc_version()).add("\n");
  text.add("initial_brk=").add_address(static_cast<std::uint64_t>(raw_syscall(SYS_brk, 0))).add("\n");
  char cpus[256];
  if (read_file("/sys/devices/system/cpu/online", cpus, sizeof cpus) > 0) {
    text.add("cpus_online=").add_decimal(count_cpus(cpus)).add("\n");
  }
  add_thp_mode(text);
  for (unsigned i = 0; i < process.range_count; ++i) {
    text.add("recorder_range=").add_address(process.ranges[i].start).add("-").add_address(process.ranges[i].end).add("\n");
  }
  add_environment(text);
  text.add("tsc=").add_decimal(ticks()).add("\n");  // last: from here on nothing is mapped until the maps are read
  text.add("maps:\n");
  write_text_and_file(ring, wire::RecordKind::start, text, "/proc/self/maps");
  if (real.program_owns_malloc) {
    constexpr char kNote[] = "the program defines malloc itself: its heap calls cannot be recorded";
    write_text(ring, wire::RecordKind::note, kNote, sizeof kNote - 1);
  }
}

}  // namespace faultline::shim
