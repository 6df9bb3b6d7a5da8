#include "record/process_table.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

namespace faultline::record {

namespace {

std::string read_link(const std::string& path) {
  char target[4096];
  const ssize_t size = readlink(path.c_str(), target, sizeof target);
  return size > 0 ? std::string(target, static_cast<std::size_t>(size)) : std::string();
}

std::vector<std::string> read_command(trace::Pid pid) {
  std::ifstream file(fmt::format("/proc/{}/cmdline", pid), std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  return words;
}

// mm->arg_start, field 48 of /proc/PID/stat (proc_pid_stat(5)); 0 where ptrace access is denied.
std::uint64_t read_arg_start(trace::Pid pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  std::getline(file, text);
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  for (int number = 3; number <= 48; ++number) {
    if (!(fields >> field)) return 0;
  }
  return std::strtoull(field.c_str(), nullptr, 10);
}

}  // namespace

void ProcessTable::add(const RawTask& task, const TimeBase& time) {
  ProcHistory& history = histories_[task.event.pid];
  const std::uint64_t at = time.ns(task.event.time_ns);
  switch (task.event.kind) {
    case trace::TaskKind::fork:
      history.parent = task.event.parent;
      history.fork_ns = at;
      break;
    case trace::TaskKind::exec: history.execs.emplace_back(at, task.name); break;
    case trace::TaskKind::exit: history.end_ns = std::max(history.end_ns, at); break;
  }
}

ProcImage& ProcessTable::add_image(trace::Pid pid, trace::Pid parent, bool forked_without_exec, std::uint64_t now_ns) {
  const bool first = std::none_of(images_.begin(), images_.end(), [&](const auto& entry) { return entry.second.pid == pid; });
  const auto number = static_cast<std::uint32_t>(images_.size() + 1);
  ProcImage& image = images_[number];
  image.number = number;
  image.pid = pid;
  image.hello_ns = now_ns;
  image.info.pid = pid;
  image.info.parent = parent;
  image.info.forked_without_exec = forked_without_exec;
  image.info.is_main = pid == main_;
  image.info.exe = read_link(fmt::format("/proc/{}/exe", pid));
  image.info.command = read_command(pid);
  image.info.arg_start = read_arg_start(pid);
  image.info.start_ns = first ? 0 : now_ns;  // corrected at the end, when perf told when it was executed
  return image;
}

std::vector<ProcImage> ProcessTable::finished() const {
  std::map<trace::Pid, std::vector<ProcImage>> by_pid;
  for (const auto& [number, image] : images_) by_pid[image.pid].push_back(image);
  for (const auto& [pid, history] : histories_) by_pid[pid];
  std::vector<ProcImage> out;
  auto next_number = static_cast<std::uint32_t>(images_.size() + 1);
  for (auto& [pid, images] : by_pid) {
    const auto known = histories_.find(pid);
    static const ProcHistory nothing;
    const ProcHistory& history = known == histories_.end() ? nothing : known->second;
    auto execs = history.execs;
    std::sort(execs.begin(), execs.end());
    // The start of an image: the last execve (or the fork) before it said hello.
    auto start_of = [&](std::uint64_t hello_ns) {
      std::uint64_t start = history.fork_ns;
      for (const auto& [at, name] : execs) {
        if (at <= hello_ns) start = std::max(start, at);
      }
      return start;
    };
    std::sort(images.begin(), images.end(), [](const ProcImage& x, const ProcImage& y) { return x.hello_ns < y.hello_ns; });
    for (ProcImage& image : images) {
      const std::uint64_t start = start_of(image.hello_ns);
      if (start != 0 || image.info.start_ns == 0) image.info.start_ns = start;
    }
    const std::uint64_t last_start = execs.empty() ? history.fork_ns : std::max(history.fork_ns, execs.back().first);
    if (images.empty() || images.back().info.start_ns < last_start) {  // its last image never allocated, or could not be entered
      ProcImage image;
      image.number = next_number++;
      image.pid = image.info.pid = pid;
      image.info.is_main = pid == main_;
      image.info.start_ns = last_start;
      image.info.forked_without_exec = execs.empty() && history.fork_ns != 0 && pid != main_;
      image.info.exe = execs.empty() ? std::string() : execs.back().second;
      if (image.info.is_main) image.info.command = command_;
      images.push_back(image);
    }
    for (std::size_t i = 0; i < images.size(); ++i) {
      ProcImage& image = images[i];
      if (image.info.parent == 0) image.info.parent = history.parent;
      image.info.end_ns = i + 1 < images.size() ? images[i + 1].info.start_ns : history.end_ns;
      if (i + 1 < images.size()) images.back().info.earlier_images.push_back(image.info.exe);
      out.push_back(image);
    }
    for (auto& image : out) {
      if (image.pid == pid && image.number == images.back().number) image.info.earlier_images = images.back().info.earlier_images;
    }
  }
  return out;
}

}  // namespace faultline::record
