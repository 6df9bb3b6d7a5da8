// Whether this process is being recorded. The word lies in memory that the kernel wipes in a forked child (MADV_WIPEONFORK; a
// vfork child shares it), so a new process notices without a getpid(2) per call.
#pragma once

#include <atomic>
#include <cstdint>

namespace faultline::shim {

enum class Phase : std::uint32_t { fresh = 0, connecting = 1, recording = 2, off = 3 };

extern std::atomic<Phase>* process_phase;  // never nullptr

inline bool process_is_recording() { return process_phase->load(std::memory_order_relaxed) == Phase::recording; }

}  // namespace faultline::shim
