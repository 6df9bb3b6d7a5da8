#include "replay/session.h"

#include <algorithm>

#include "heap/version.h"
#include "replay/load.h"
#include "trace/cut_recording.h"

namespace faultline::replay {

namespace {

Error nothing_found(const std::string& path, trace::Pid pid, const trace::Recording& recording) {
  std::string known;
  for (const trace::ProcessInfo& process : recording.processes()) known += fmt::format("{}{}", known.empty() ? "" : ", ", process.pid);
  const Error error = make_error("{}: wanted {}, found {}", path, pid == 0 ? "a recorded process with heap events" : fmt::format("process {}", pid),
                                 known.empty() ? "none" : known);
  return recording.damage() ? make_error("{}; {}", error.message(), *recording.damage()) : error;
}

}  // namespace

Result<Session> open_session(const std::string& path, trace::Pid pid, const std::function<void(std::uint64_t)>& progress) {
  Session session;
  FL_TRY(session.recording, trace::open_complete(path));
  for (;;) {
    const std::uint64_t complete = session.recording->complete_until_ns();
    session.process = pid == 0 ? session.recording->main_process() : session.recording->process(pid);
    if (session.process == nullptr) return fail(nothing_found(path, pid, *session.recording));
    auto program = load_program(*session.recording, *session.process, progress);
    const std::uint64_t found = session.recording->complete_until_ns();
    if (found < complete) {  // reading met damage: once more, without what lies beyond it
      session.recording = trace::cut_recording(std::move(session.recording), found);
      continue;
    }
    if (!program) return fail(session.recording->damage() ? make_error("{}; {}", program.error().message(), *session.recording->damage()) : program.error());
    session.program = std::move(*program);
    break;
  }

  auto& remarks = session.remarks;
  const Program& program = session.program;
  if (session.recording->damage()) {
    const std::uint64_t until = session.recording->complete_until_ns();
    remarks.push_back(*session.recording->damage() +
                      (until == trace::Recording::kToTheEnd ? std::string() : fmt::format("; replayed up to {:.3f} s of the recording, where it is known to be complete", static_cast<double>(until) / 1e9)));
  }
  if (const std::string& libc = session.process->glibc_version; !libc.empty()) {
    const heap::Version::Nearest nearest = heap::Version::nearest(libc);
    if (!nearest.exact) remarks.push_back(fmt::format("recorded with glibc {}, which is not modelled; the heap model is that of {}", libc, nearest.version.name));
    else if (!nearest.version.real_run) remarks.push_back(fmt::format("recorded with glibc {}; its heap model was not checked against a real run", libc));
  }
  if (!program.forks.empty()) remarks.push_back(fmt::format("forked without execve: the {} heap events of the processes before it were replayed first", program.first_own_event()));
  const std::size_t processes = session.recording->processes().size();
  if (processes > 1) remarks.push_back(fmt::format("{} processes recorded; this is pid {}{}", processes, session.process->pid,
                                  session.process == session.recording->main_process() ? ", the main one" : ""));
  if (!program.order_explains_all && !session.recording->meta().turns) remarks.push_back("in which order threads got malloc's locks is not known to the end; a recording made with record --turns tells it");
  if (program.lost_events > 0) remarks.push_back(fmt::format("{} heap events were lost while recording", program.lost_events));
  if (program.lost_calls > 0) remarks.push_back(fmt::format("{} memory calls were lost while recording", program.lost_calls));
  if (program.lost_turns > 0) remarks.push_back(fmt::format("{} turns were taken from threads that were gone or kept them for seconds: the order of those calls is not known", program.lost_turns));
  if (program.unknown_frees > 0) remarks.push_back(fmt::format("{} blocks were born before the recording began: their frees are skipped", program.unknown_frees));
  if (!program.tunables.empty()) remarks.push_back("recorded with GLIBC_TUNABLES=" + program.tunables);
  return session;
}

}  // namespace faultline::replay
