#include "replay/thread_exits.h"

#include <algorithm>
#include <unordered_map>

namespace faultline::replay {
namespace {

constexpr std::uint64_t kMadvDontNeed = 4;  // MADV_DONTNEED of madvise(2)

}  // namespace

std::vector<ThreadExit> find_thread_exits(const Program& program, std::span<const trace::MemoryCall> calls, trace::Pid pid) {
  std::unordered_map<trace::Tid, const trace::MemoryCall*> last_call;
  for (const trace::MemoryCall& call : calls) last_call[call.tid] = &call;
  std::vector<std::uint32_t> last_event(program.threads.size());
  for (const Event& event : program.events) last_event[event.thread] = event.time;
  std::vector<ThreadExit> exits;
  for (std::size_t thread = 0; thread < program.threads.size(); ++thread) {
    const trace::Tid tid = program.threads[thread].tid;
    const auto last = last_call.find(tid);
    if (tid == pid || last == last_call.end()) continue;
    const trace::MemoryCall& call = *last->second;
    const auto time = static_cast<std::uint32_t>(call.begin_ns / program.time_unit_ns);
    if (call.kind != trace::CallKind::madvise || call.args[2] != kMadvDontNeed || time < last_event[thread]) continue;
    const auto after = std::partition_point(program.events.begin(), program.events.end(), [&](const Event& event) { return event.time <= time; });
    exits.push_back({static_cast<std::uint32_t>(after - program.events.begin()), static_cast<std::uint16_t>(thread)});
  }
  std::sort(exits.begin(), exits.end(), [](const ThreadExit& x, const ThreadExit& y) { return x.event < y.event; });
  return exits;
}

}  // namespace faultline::replay
