// Modelled: a process of a replay, its memory in the twin and its malloc.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "heap/heap.h"
#include "heap/on/logging_memory.h"
#include "heap/on/twin_memory.h"
#include "mm/phys/frame_table.h"
#include "mm/space/address_space.h"
#include "replay/replay_plan.h"
#include "replay/workspace.h"

namespace faultline::replay {

inline std::uint64_t heap_start(const Program& program, const ReplayPlan& plan) {
  return program.initial_brk + (plan.placement == Placement::own ? plan.heap_moved : 0);
}

inline mm::AddressSpace::Layout layout_of(const Program& program, const ReplayPlan& plan) {
  mm::AddressSpace::Layout layout;
  if (plan.placement == Placement::own && program.mapping_top != 0) layout.mmap_base = VirtAddr(program.mapping_top - plan.mappings_moved);
  layout.start_brk = VirtAddr(heap_start(program, plan));
  return layout;
}

inline mm::KernelProfile profile_of(const Program& program) {
  mm::KernelProfile profile = mm::KernelProfile::linux_6_18();
  profile.thp = program.thp_always ? mm::ThpMode::always : program.thp_madvise_bytes != 0 ? mm::ThpMode::madvise : mm::ThpMode::never;
  return profile;
}

// A fork makes another one of it.
struct Modelled {
  using Memory = heap::LoggingMemory<heap::TwinMemory>;

  Modelled(mm::FrameTable& frames, const Program& program, const ReplayPlan& plan, const heap::Parameters& parameters)
      : space(std::make_unique<mm::AddressSpace>(frames, profile_of(program), layout_of(program, plan))),
        twin(*space, heap_start(program, plan), host_memory(plan)), memory(twin, mode_of(plan)), heap(memory, parameters) {}
  Modelled(const Modelled& parent, std::uint16_t thread, const ReplayPlan& plan)
      : space(copy_of(*parent.space)), twin(*space, parent.twin), memory(twin, mode_of(plan)), heap(memory, parent.heap, thread) {}

  std::unique_ptr<mm::AddressSpace> space;
  heap::TwinMemory twin;
  Memory memory;
  heap::Heap<Memory> heap;

  static std::unique_ptr<mm::AddressSpace> copy_of(mm::AddressSpace& parent) {
    auto child = parent.fork();
    FL_ASSERT(child.has_value());  // the twin's memory has no limit here
    return std::move(*child);
  }

 private:
  static std::optional<heap::HostPages> host_memory(const ReplayPlan& plan) {
    return plan.workspace == nullptr ? std::nullopt : std::exchange(plan.workspace->heap_words, std::nullopt);
  }
  static heap::LogMode mode_of(const ReplayPlan& plan) { return plan.watch != nullptr ? heap::LogMode::records : heap::LogMode::counts_only; }
};

}  // namespace faultline::replay
