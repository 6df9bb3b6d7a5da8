#include "replay/session.h"

#include <algorithm>

#include "replay/load.h"

namespace faultline::replay {

Result<Session> open_session(const std::string& path, const std::function<void(std::uint64_t)>& progress) {
  Session session;
  FL_TRY(session.recording, trace::Recording::open(path));
  session.process = session.recording->main_process();
  if (session.process == nullptr) return fail(make_error("{}: wanted a recorded process with heap events, found none", path));
  FL_TRY(session.program, load_program(*session.recording, *session.process, progress));

  auto& remarks = session.remarks;
  const Program& program = session.program;
  if (session.recording->damage()) remarks.push_back(*session.recording->damage());
  if (!session.process->glibc_version.empty() && session.process->glibc_version != "2.36")
    remarks.push_back(fmt::format("recorded with glibc {}; the heap model is that of 2.36", session.process->glibc_version));
  const std::size_t processes = session.recording->processes().size();
  if (processes > 1) remarks.push_back(fmt::format("{} processes recorded; this is pid {}, the main one", processes, session.process->pid));
  const auto arenas = std::count_if(program.threads.begin(), program.threads.end(), [](const ThreadUse& t) { return !t.main_arena; });
  if (arenas > 0) remarks.push_back(fmt::format("{} threads with an arena of their own: their blocks are not modelled, their memory counts as recorded", arenas));
  if (program.lost_events > 0) remarks.push_back(fmt::format("{} heap events were lost while recording", program.lost_events));
  if (program.unknown_frees > 0) remarks.push_back(fmt::format("{} blocks were born before the recording began: their frees are skipped", program.unknown_frees));
  if (!program.tunables.empty()) remarks.push_back("recorded with GLIBC_TUNABLES=" + program.tunables);
  return session;
}

}  // namespace faultline::replay
