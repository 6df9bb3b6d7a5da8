#include "replay/thread_sharing.h"

#include <vector>

namespace faultline::replay {

double freed_by_others(const Program& program) {
  if (program.threads.size() < 2) return 0;
  constexpr std::uint16_t kNobody = ~std::uint16_t{0};
  std::vector<std::uint16_t> owner(program.slots, kNobody);
  std::uint64_t freed = 0, by_others = 0;
  const auto gone = [&](std::uint32_t slot, std::uint16_t thread) {
    if (slot >= owner.size() || owner[slot] == kNobody) return;
    ++freed;
    by_others += owner[slot] != thread;
    owner[slot] = kNobody;
  };
  for (const Event& event : program.events) {
    if ((event.flags & (kUnknown | kFailed)) != 0 || event.op == trace::HeapOp::mallopt || event.op == trace::HeapOp::malloc_trim) continue;
    if (event.op == trace::HeapOp::free) {
      gone(event.slot, event.thread);
      continue;
    }
    if (event.op == trace::HeapOp::realloc) gone(event.other, event.thread);
    if (event.slot < owner.size()) owner[event.slot] = event.thread;
  }
  return freed == 0 ? 0 : static_cast<double>(by_others) / static_cast<double>(freed);
}

}  // namespace faultline::replay
