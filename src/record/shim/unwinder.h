// Walks the stack of the calling thread without locks or memory of its own.
//
// A walk is remembered. The next one unwinds rule by rule only until it meets a remembered frame in the same state
// (pc, sp and, where it matters, rbp); from there on it is enough that every word read then still holds the same value:
// a stack is a function of (pc, sp, rbp, the words read). Unchanged callers cost one load each.
#pragma once

#include <cstdint>

#include "record/shim/cfi_rules.h"
#include "record/shim/rule_cache.h"

namespace faultline::shim {

struct ThreadRing;

inline constexpr unsigned kWalkCapacity = 1024;

// WalkFrame::flags
inline constexpr std::uint64_t kConsumesRbp = 1;  // own rule computes the CFA from rbp
inline constexpr std::uint64_t kRestoresRbp = 2;  // own rule reloads rbp from the stack
inline constexpr std::uint64_t kRbpMatters = 4;   // this or an outer frame's CFA depends on rbp as it is here
inline constexpr std::uint64_t kOpaque = 8;       // the step outwards cannot be checked by comparing words

// Whole words only: a frame is copied right after it was written, and narrow stores would stall that copy.
struct WalkFrame {
  std::uint64_t sp = 0;           // stack pointer once the callee has returned
  std::uint64_t pc = 0;           // return address
  std::uint64_t rbp = 0;
  std::uint64_t restored_at = 0;  // where the callee had saved rbp; 0 if it left rbp alone
  std::uint64_t hash = 0;         // of this and all outer frames
  std::uint64_t flags = 0;
};

struct StackWalk {
  unsigned depth = 0;        // frames[depth - 1] is the innermost frame, frames[0] the outermost
  bool reusable = false;     // the walk ended at a declared outermost frame
  std::uint32_t generation = 0;
  WalkFrame frames[kWalkCapacity];
  WalkFrame fresh[kWalkCapacity];  // scratch: frames not shared with the previous walk, innermost first

  std::uint64_t hash() const { return depth == 0 ? 0 : frames[depth - 1].hash; }
};

// Fills ring.walk, beginning with the frame that called the shim. New modules on the way are announced in the ring.
void walk_stack(ThreadRing& ring, FrameRegisters registers);

// The outer end of the main thread's stack (__libc_stack_end).
void set_main_stack_end(std::uint64_t address);

// After dlclose: cached rules and remembered walks may describe code that is gone.
void forget_code();

// Memory for the rule cache, from the shim's own mapping.
void set_rule_cache(RuleCache* cache);

}  // namespace faultline::shim
