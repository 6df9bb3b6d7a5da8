#include "record/lackey_processes.h"

#include <signal.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace faultline::record {
namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string link_of(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::read_symlink(path, error).string();
}

pid_t parent_of(pid_t pid) {
  std::istringstream status(text_of("/proc/" + std::to_string(pid) + "/status"));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("PPid:")) return static_cast<pid_t>(std::atoi(line.c_str() + 5));
  return 0;
}

bool runs(pid_t pid) {
  const std::string stat = text_of("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && name_end + 2 < stat.size() && stat[name_end + 2] != 'Z' && stat[name_end + 2] != 'X';
}

}  // namespace

LackeyProcesses::Log& LackeyProcesses::add(pid_t pid, trace::TracedProcess* parent) {
  const std::uint32_t number = world_.add_process(pid);
  if (parent != nullptr) {
    trace::ReferenceEvent& event = world_.events.emplace_back();
    event.kind = trace::ReferenceKind::fork;
    event.process = parent->number();
    event.pages = number;
    world_.processes[number].command = world_.processes[parent->number()].command;
  }
  Log& log = logs_[pid];
  log.log = std::make_unique<trace::LackeyLog>(world_, parent != nullptr ? parent->forked(number) : trace::TracedProcess(world_, number), pid,
                                               static_cast<Reader&>(*this),
                                               parent != nullptr);
  log.unfinished.clear();
  latest_pid_ = 0;
  return log;
}

LackeyProcesses::Log& LackeyProcesses::log_of(pid_t pid) {
  if (pid == latest_pid_) return *latest_;
  auto found = logs_.find(pid);
  if (found == logs_.end()) {
    // The child of a fork is heard before its parent says so.
    auto parent = logs_.find(parent_of(pid));
    if (parent == logs_.end()) {
      ++world_.unseen["processes heard of before their parent was known, taken as children of the command"];
      parent = logs_.begin();
      for (auto at = logs_.begin(); at != logs_.end(); ++at)
        if (at->second.log->process().number() == 0) parent = at;
    }
    add(pid, &parent->second.log->process());
    found = logs_.find(pid);
  }
  latest_pid_ = pid;
  return *(latest_ = &found->second);
}

void LackeyProcesses::line(Log& log, std::string_view text) {
  if (!log.log->line(text)) ++world_.unseen["lines of Valgrind that are not understood"];
}

void LackeyProcesses::feed(pid_t pid, std::string_view text) {
  Log& log = log_of(pid);
  while (true) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) break;
    if (log.unfinished.empty()) {
      line(log, text.substr(0, end));
    } else {
      log.unfinished += text.substr(0, end);
      line(log, log.unfinished);
      log.unfinished.clear();
    }
    text.remove_prefix(end + 1);
  }
  log.unfinished += text;
}

void LackeyProcesses::image_begins(trace::TracedProcess& process, std::int32_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  const std::string maps = text_of(folder + "/maps");
  if (maps.empty()) ++world_.unseen["images that ended before their mappings could be read"];
  process.begin_in(link_of(folder + "/cwd"));
  process.close_descriptors();
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder + "/fd", error)) {
    const int descriptor = std::atoi(entry.path().filename().c_str());
    if (descriptor >= first_of_valgrind_) continue;
    std::uint64_t position = 0;
    std::istringstream(text_of(folder + "/fdinfo/" + std::to_string(descriptor))) .ignore(5) >> position;  // "pos:\t0"
    process.begin_with_descriptor(descriptor, link_of(entry.path()), position);
  }
  process.begin_with_maps(maps);
}

void LackeyProcesses::forked(trace::TracedProcess& parent, std::int32_t child) {
  const auto found = logs_.find(child);
  // Known already by what it wrote; but a pid that ended before is another process now.
  if (found == logs_.end() || found->second.log->process().ended()) add(child, &parent);
}

std::size_t LackeyProcesses::still_running(pid_t except) const {
  std::size_t running = 0;
  for (const auto& [pid, log] : logs_)
    if (pid != except && !log.log->process().ended() && runs(pid)) ++running;
  return running;
}

void LackeyProcesses::finish(std::size_t running) {
  for (auto& [pid, log] : logs_) {
    if (!log.unfinished.empty() && log.unfinished.find(',') != std::string::npos) line(log, log.unfinished);
    log.log->process().end();
  }
  if (running > 0) world_.unseen["processes that still ran when the command ended: in the stream up to there"] += running;
}

std::vector<std::string> LackeyProcesses::remarks() const { return remarks_of(world_); }

}  // namespace faultline::record
