#include "live/process_view.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "live/arenas.h"
#include "live/image_end.h"
#include "live/pagemap.h"
#include "live/printable.h"

namespace faultline::live {
namespace {

Error denied(Pid pid) {
  return make_error("process {} is another user's, or protected: only its own user, or root (CAP_SYS_PTRACE), may look at its mappings", pid);
}

// `NUMBER arguments... stack-pointer program-counter`, or `running`: proc(5), /proc/PID/syscall.
std::uint64_t stack_pointer_of(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  const std::size_t last = text.rfind(' ');
  if (last == text.npos || last == 0) return 0;
  const std::size_t before = text.rfind(' ', last - 1);
  if (before == text.npos) return 0;
  return std::strtoull(std::string(text.substr(before + 1, last - before - 1)).c_str(), nullptr, 16);
}

void look_at_threads(const Proc& proc, ProcessView& view) {
  constexpr int kTries = 3;  // a running thread may be caught waiting a moment later
  std::string text;
  for (const Pid tid : proc.threads(view.stat.pid)) {
    Thread thread{tid, {}, 0};
    if (proc.read(fmt::format("{}/task/{}/comm", view.stat.pid, tid).c_str(), text) == Access::ok) {
      if (!text.empty() && text.back() == '\n') text.pop_back();
      thread.name = printable(text);
    }
    for (int i = 0; i < kTries && thread.stack_pointer == 0; ++i) {
      if (proc.read(fmt::format("{}/task/{}/syscall", view.stat.pid, tid).c_str(), text) != Access::ok) break;
      view.threads_seen = true;
      thread.stack_pointer = stack_pointer_of(text);
    }
    if (tid != view.stat.pid) view.threads.push_back(std::move(thread));
  }
}

}  // namespace

Result<std::optional<ProcessStat>> stat_of(const Proc& proc, Pid pid) {
  std::string text;
  ProcessStat stat;
  switch (proc.read(pid, "stat", text)) {
    case Access::gone: return std::optional<ProcessStat>{};
    case Access::denied: return fail(make_error("process {}: /proc is mounted so that others' processes are hidden (hidepid)", pid));
    case Access::failed: return fail(make_error("/proc/{}/stat: cannot be read: {}", pid, std::strerror(errno)));
    case Access::ok: break;
  }
  if (!parse_stat(text, stat)) return fail(make_error("/proc/{}/stat: wanted the line of proc(5), found '{}'", pid, text.substr(0, 80)));
  return std::optional<ProcessStat>{stat};
}

Result<std::vector<Mapping>> mappings_of(const Proc& proc, Pid pid) {
  std::string text;
  switch (proc.read(pid, "smaps", text)) {
    case Access::gone: return fail(make_error("no process {} any more", pid));
    case Access::denied: return fail(denied(pid));
    case Access::failed: return fail(make_error("/proc/{}/smaps: cannot be read: {}", pid, std::strerror(errno)));
    case Access::ok: break;
  }
  std::vector<Mapping> mappings = parse_smaps(text);
  if (!mappings.empty() && mappings.back().path == "[vsyscall]") mappings.pop_back();  // a page of the kernel's half, in every process
  return mappings;
}

std::string command_of(const Proc& proc, const ProcessStat& stat) {
  std::string text;
  if (proc.read(stat.pid, "cmdline", text) != Access::ok || text.empty()) return fmt::format("[{}]", printable(stat.command()));
  while (!text.empty() && text.back() == '\0') text.pop_back();
  for (char& c : text) {
    if (c == '\0' || c == '\n' || c == '\t') c = ' ';
  }
  return printable(text);
}

Result<ProcessView> view_process(const Proc& proc, Pid pid) {
  ProcessView view;
  FL_TRY(const auto stat, stat_of(proc, pid));
  if (!stat) return fail(make_error("no process {}", pid));
  view.stat = *stat;
  std::string text;
  if (proc.read(pid, "status", text) == Access::ok) view.status = parse_status(text);
  view.command = command_of(proc, view.stat);
  if (!view.status) return view;  // without memory there is nothing to be denied
  view.executable = proc.link(pid, "exe");
  FL_TRY(std::vector<Mapping> mappings, mappings_of(proc, pid));
  look_at_threads(proc, view);

  Descriptor memory;
  Pagemap pagemap;
  const bool readable = proc.open_file(pid, "mem", memory) == Access::ok && Pagemap::open(proc, pid, pagemap) == Access::ok;
  const ReadWord read_word = [&](std::uint64_t address) -> std::optional<std::uint64_t> {
    std::uint64_t word = 0;
    if (!readable || !pagemap.present(address)) return std::nullopt;  // reading would make the page resident
    if (pread(memory.get(), &word, sizeof word, static_cast<off_t>(address)) != sizeof word) return std::nullopt;
    return word;
  };
  const LayoutFacts facts{view.executable, view.threads, find_heaps(mappings, read_word),
                          [&](const std::string& path) { return image_bytes(proc, pid, path); }};
  view.places = lay_out(std::move(mappings), facts);
  return view;
}

}  // namespace faultline::live
