#include "record/tracepoint.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>

namespace faultline::record {
namespace {

constexpr std::pair<trace::CallKind, const char*> kCalls[] = {
    {trace::CallKind::brk, "brk"},       {trace::CallKind::mmap, "mmap"},       {trace::CallKind::munmap, "munmap"},
    {trace::CallKind::mremap, "mremap"}, {trace::CallKind::madvise, "madvise"}, {trace::CallKind::mprotect, "mprotect"},
};

struct Format {
  std::uint64_t id = 0;
  std::vector<std::size_t> fields;  // offsets of the call's own fields after __syscall_nr
};

// The text of events/syscalls/NAME/format: "ID: 123", then one "field:TYPE NAME; offset:N; size:N; signed:N;" each.
bool parse_format(std::istream& text, Format& format) {
  std::string line;
  bool own_fields = false;
  while (std::getline(text, line)) {
    unsigned long long number = 0;
    if (std::sscanf(line.c_str(), "ID: %llu", &number) == 1) format.id = number;
    const std::size_t at = line.find("offset:");
    if (at == std::string::npos) continue;
    if (line.find("__syscall_nr") != std::string::npos) {
      own_fields = true;
    } else if (own_fields && std::sscanf(line.c_str() + at, "offset:%llu", &number) == 1) {
      format.fields.push_back(number);
    }
  }
  return format.id != 0 && !format.fields.empty();
}

bool read_all(const std::string& tracefs, std::vector<CallTracepoints>& out) {
  for (const auto& [kind, name] : kCalls) {
    Format enter, exit;
    std::ifstream enter_file(tracefs + "/events/syscalls/sys_enter_" + name + "/format");
    std::ifstream exit_file(tracefs + "/events/syscalls/sys_exit_" + name + "/format");
    if (!enter_file || !exit_file || !parse_format(enter_file, enter) || !parse_format(exit_file, exit)) return false;
    out.push_back({kind, enter.id, exit.id, enter.fields, exit.fields.front()});
  }
  return true;
}

std::string serialise(const std::vector<CallTracepoints>& all) {
  std::ostringstream out;
  for (const CallTracepoints& call : all) {
    out << static_cast<int>(call.kind) << ' ' << call.enter_id << ' ' << call.exit_id << ' ' << call.result_offset << ' '
        << call.argument_offsets.size();
    for (const std::size_t offset : call.argument_offsets) out << ' ' << offset;
    out << '\n';
  }
  return out.str();
}

std::vector<CallTracepoints> parse(const std::string& text) {
  std::vector<CallTracepoints> all;
  std::istringstream in(text);
  int kind = 0;
  std::size_t count = 0;
  CallTracepoints call;
  while (in >> kind >> call.enter_id >> call.exit_id >> call.result_offset >> count && count <= 6) {
    call.kind = static_cast<trace::CallKind>(kind);
    call.argument_offsets.assign(count, 0);
    for (std::size_t& offset : call.argument_offsets) in >> offset;
    all.push_back(call);
  }
  return all;
}

// In a child of its own: a private mount namespace, tracefs where it belongs, the texts through a pipe.
std::vector<CallTracepoints> read_through_private_mount() {
  constexpr char kTracefs[] = "/sys/kernel/tracing";  // exists in sysfs wherever the kernel has tracefs
  int ends[2];
  std::string text;
  if (pipe(ends) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    std::vector<CallTracepoints> all;
    if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
        mount("tracefs", kTracefs, "tracefs", 0, nullptr) == 0 && read_all(kTracefs, all)) {
      const std::string out = serialise(all);
      if (write(ends[1], out.data(), out.size()) < 0) _exit(1);
    }
    _exit(0);
  }
  close(ends[1]);
  char buffer[4096];
  ssize_t got = 0;
  while (child > 0 && (got = read(ends[0], buffer, sizeof buffer)) > 0) text.append(buffer, static_cast<std::size_t>(got));
  close(ends[0]);
  if (child > 0) waitpid(child, nullptr, 0);
  return parse(text);
}

}  // namespace

Result<std::vector<CallTracepoints>> read_call_tracepoints() {
  for (const char* tracefs : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
    std::vector<CallTracepoints> all;
    if (read_all(tracefs, all)) return all;
  }
  if (geteuid() == 0) {
    auto all = read_through_private_mount();
    if (all.size() == std::size(kCalls)) return all;
  }
  return fail(make_error("the kernel's system-call tracepoints cannot be read (tracefs needs root)"));
}

}  // namespace faultline::record
