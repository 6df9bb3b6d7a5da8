#include "replay/child_lives.h"

#include <unordered_map>

namespace faultline::replay {

ChildLives::ChildLives(std::span<const trace::TaskEvent> tasks, trace::Pid pid, std::uint64_t from_ns) {
  std::unordered_map<trace::Pid, std::size_t> living;
  std::size_t born = 0;
  for (const trace::TaskEvent& task : tasks) {
    if (task.kind == trace::TaskKind::fork) {
      if (task.parent != pid || task.shares_memory || task.time_ns < from_ns) continue;
      living[task.pid] = born;
      changes_.push_back({task.time_ns, born++, true});
    } else if (const auto child = living.find(task.pid); child != living.end()) {
      changes_.push_back({task.time_ns, child->second, false});
      living.erase(child);
    }
  }
}

void ChildLives::advance(std::uint64_t until_ns, Program& program) {
  const auto event = static_cast<std::uint32_t>(program.events.size());
  for (; next_ < changes_.size() && changes_[next_].time_ns <= until_ns; ++next_) {
    const Change& change = changes_[next_];
    if (change.born) program.children.push_back({.born = event, .gone = kNoSlot});
    else program.children[change.child].gone = event;
  }
}

}  // namespace faultline::replay
