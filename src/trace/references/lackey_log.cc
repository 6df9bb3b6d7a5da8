#include "trace/references/lackey_log.h"

#include <charconv>

namespace faultline::trace {

bool LackeyLog::other_line(std::string_view text) {
  // "==4711== Lackey, an example Valgrind tool" begins an image; after an execve it stands behind the call, on the same line.
  if (const std::size_t banner = text.find("== Lackey, "); banner != std::string_view::npos) {
    const std::size_t begin = text.rfind("==", banner == 0 ? 0 : banner - 1);
    std::int32_t pid = 0;
    if (begin != std::string_view::npos && begin + 2 <= banner) std::from_chars(text.data() + begin + 2, text.data() + banner, pid);
    if (pid_ == 0) pid_ = pid;
    if (pid != pid_) {
      ++world_->unseen["images of other processes in the same log, whose touches cannot be told apart (Valgrind's --log-file=NAME.%p does)"];
      return true;
    }
    if (began_) process_.begin_image();
    began_ = true;
    ReferenceProcess& named = world_->processes[process_.number()];
    named.pid = pid_;
    reader_->image_begins(process_, pid_);
    return true;
  }
  if (text.starts_with("SYSCALL[")) {
    const auto call = parse_syscall_line(text);
    if (!call) return false;
    if (pid_ == 0) pid_ = call->pid;
    if (call->pid != pid_) {
      ++world_->unseen["calls of other processes in the same log"];
      return true;
    }
    if (call->child) reader_->forked(process_, *call->child);
    process_.call(*call);
    return true;
  }
  if (constexpr std::string_view kCommand = "== Command: "; text.starts_with("==")) {
    if (const std::size_t at = text.find(kCommand); at != std::string_view::npos) {
      std::string command;
      for (const char c : text.substr(at + kCommand.size()))
        if (c != '\\') command += c;  // Valgrind's own quoting
      world_->processes[process_.number()].command = command;
    }
    return true;
  }
  // A call's result on a line of its own: of the child's side of a fork, or of a call Valgrind does not know.
  return text.empty() || text.starts_with("--") || text.starts_with("**") || text.starts_with(" --> ") || text == "\r";
}

std::vector<std::string> remarks_of(const TracedWorld& world) {
  std::vector<std::string> lines;
  for (const auto& [what, times] : world.unseen) lines.push_back(fmt::format("{} ({} time{})", what, times, times == 1 ? "" : "s"));
  return lines;
}

}  // namespace faultline::trace
