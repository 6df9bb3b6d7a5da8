#include "record/shim/exit_record.h"

#include <sys/resource.h>

#include "record/shim/block_watch.h"
#include "record/shim/line_reader.h"
#include "record/shim/modules.h"
#include "record/shim/process.h"
#include "record/shim/raw_syscall.h"
#include "record/shim/start_record.h"
#include "record/shim/text.h"
#include "record/shim/touch.h"

namespace faultline::shim {

namespace {

struct MapsLine {
  std::uint64_t start, end;
  bool readable, is_private, anonymous;
};

// "start-end perms offset dev inode   path"
bool parse_maps_line(const char* line, MapsLine& out) {
  out.start = parse_number(line, 16);
  if (*line++ != '-') return false;
  out.end = parse_number(line, 16);
  if (*line++ != ' ') return false;
  out.readable = line[0] == 'r';
  out.is_private = line[3] == 'p';
  for (int field = 0; field < 3 && *line != 0; ++line) field += *line == ' ';
  while (*line == ' ') ++line;
  const bool no_file = starts_with(line, "0 ") || equal(line, "0");
  const bool special = contains(line, "[v");  // [vdso], [vvar], [vsyscall]
  out.anonymous = no_file && !special;
  return true;
}

std::uint64_t own_resident_kb(ThreadRing& ring) {
  LineReader lines("/proc/self/smaps", ring.scratch, kScratchBytes);
  std::uint64_t total = 0;
  bool own = false;
  while (const char* line = lines.next()) {
    MapsLine mapping;
    if (*line >= 'A' && *line <= 'Z') {
      if (!own || !starts_with(line, "Rss:")) continue;
      line += 4;
      while (*line == ' ') ++line;
      total += parse_number(line, 10);
    } else if (parse_maps_line(line, mapping)) {
      own = is_own_range(mapping.start);
    }
  }
  return total;
}

void add_status(Text& text) {
  static constexpr const char* kKeys[] = {"VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem"};
  char buffer[512];
  LineReader lines("/proc/self/status", buffer, sizeof buffer);
  while (const char* line = lines.next()) {
    for (const char* key : kKeys) {
      const std::size_t length = length_of(key);
      if (!starts_with(line, key) || line[length] != ':') continue;
      const char* value = line + length + 1;
      while (*value == ' ' || *value == '\t') ++value;
      text.add(key).add("=").add_decimal(parse_number(value, 10)).add("\n");
    }
  }
}

void write_residency_of_process(ThreadRing& ring) {
  LineReader lines("/proc/self/maps", ring.scratch, kScratchBytes);
  while (const char* line = lines.next()) {
    MapsLine m;
    if (!parse_maps_line(line, m) || !m.readable || !m.is_private || !m.anonymous || is_own_range(m.start)) continue;
    write_residency(ring, wire::RecordKind::exit_touch, m.start, m.end);
  }
}

}  // namespace

void report_exit() {
  static std::uint32_t reports = 0;
  if (!process_is_recording() || raw_getpid() != process.pid) return;
  ThreadRing* ring = current_ring();
  const BusyRing busy(ring);
  if (!busy) return;
  announce_loaded_modules(*ring);
  rusage usage{};
  raw_syscall(SYS_getrusage, 0, address_of(&usage));
  char readings[256];  // taken before our own reading of smaps disturbs them
  Text status(readings, sizeof readings);
  add_status(status);
  const std::uint64_t own_kb = own_resident_kb(*ring);

  Text text(ring->scratch, kScratchBytes);
  text.add("exit_number=").add_decimal(++reports).add("\n").add(status.data(), status.size());
  text.add("minflt=").add_decimal(static_cast<std::uint64_t>(usage.ru_minflt)).add("\n");
  text.add("majflt=").add_decimal(static_cast<std::uint64_t>(usage.ru_majflt)).add("\n");
  text.add("tsc=").add_decimal(ticks()).add("\n");
  text.add("recorder_rss_kb=").add_decimal(own_kb).add("\n");
  text.add("recorder_populate_minflt=").add_decimal(process.populate_minflt.load(std::memory_order_relaxed)).add("\n");
  for (unsigned i = 0; i < process.range_count; ++i) {
    text.add("recorder_range=").add_address(process.ranges[i].start).add("-").add_address(process.ranges[i].end).add("\n");
  }
  text.add("maps:\n");
  write_text_and_file(*ring, wire::RecordKind::exit, text, "/proc/self/smaps");
  write_residency_of_process(*ring);
  record_contents_at_exit(*ring);
  process.segment->exit_reported.store(1, std::memory_order_release);
}

}  // namespace faultline::shim
