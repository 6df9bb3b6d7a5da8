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

struct Wanted {
  const char* name;
  Tracepoint KernelTracepoints::*where;
  const char* fields[3];
};

constexpr Wanted kWanted[] = {
    {"raw_syscalls/sys_enter", &KernelTracepoints::sys_enter, {"id", "args", nullptr}},
    {"raw_syscalls/sys_exit", &KernelTracepoints::sys_exit, {"id", "ret", nullptr}},
    {"exceptions/page_fault_user", &KernelTracepoints::fault_user, {"address", "ip", "error_code"}},
    {"exceptions/page_fault_kernel", &KernelTracepoints::fault_kernel, {"address", "ip", "error_code"}},
    {"task/task_newtask", &KernelTracepoints::new_task, {"clone_flags", nullptr, nullptr}},
};

// "field:unsigned long args[6];" -> "args"
std::string field_name(const std::string& line) {
  const std::size_t end = line.find_first_of(";[", line.find("field:"));
  const std::size_t start = line.rfind(' ', end);
  return end == std::string::npos || start == std::string::npos ? std::string() : line.substr(start + 1, end - start - 1);
}

// The text of events/NAME/format: "ID: 123", then one "field:TYPE NAME; offset:N; size:N; signed:N;" each.
bool parse_format(std::istream& text, const Wanted& wanted, Tracepoint& out) {
  Tracepoint read;
  std::string line;
  while (std::getline(text, line)) {
    unsigned long long number = 0;
    if (std::sscanf(line.c_str(), "ID: %llu", &number) == 1) read.id = number;
    const std::size_t at = line.find("offset:");
    if (at != std::string::npos && std::sscanf(line.c_str() + at, "offset:%llu", &number) == 1) read.offsets[field_name(line)] = number;
  }
  for (const char* field : wanted.fields) {
    if (field != nullptr && !read.offsets.contains(field)) return false;
  }
  if (read.id == 0) return false;
  out = read;
  return true;
}

bool read_all(const std::string& tracefs, KernelTracepoints& out) {
  for (const Wanted& wanted : kWanted) {
    std::ifstream file(tracefs + "/events/" + wanted.name + "/format");
    if (file) parse_format(file, wanted, out.*wanted.where);
  }
  return out.sys_enter && out.sys_exit;
}

// Texts of a form that parse_format reads again.
std::string serialise(const KernelTracepoints& all) {
  std::ostringstream out;
  for (const Wanted& wanted : kWanted) {
    const Tracepoint& one = all.*wanted.where;
    out << "name: " << wanted.name << "\nID: " << one.id << '\n';
    for (const auto& [name, offset] : one.offsets) out << "field:x " << name << "; offset:" << offset << '\n';
    out << ".\n";
  }
  return out.str();
}

KernelTracepoints parse(const std::string& text) {
  KernelTracepoints all;
  std::istringstream in(text);
  for (const Wanted& wanted : kWanted) {
    std::string one, line;
    while (std::getline(in, line) && line != ".") one += line + '\n';
    std::istringstream block(one);
    parse_format(block, wanted, all.*wanted.where);
  }
  return all;
}

// In a child of its own: a private mount namespace, tracefs where it belongs, the texts through a pipe.
KernelTracepoints read_through_private_mount() {
  constexpr char kTracefs[] = "/sys/kernel/tracing";  // exists in sysfs wherever the kernel has tracefs
  int ends[2];
  std::string text;
  if (pipe(ends) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    KernelTracepoints all;
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

KernelTracepoints read_tracepoints() {
  for (const char* tracefs : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
    KernelTracepoints all;
    if (read_all(tracefs, all)) return all;
  }
  return geteuid() == 0 ? read_through_private_mount() : KernelTracepoints{};
}

}  // namespace faultline::record
