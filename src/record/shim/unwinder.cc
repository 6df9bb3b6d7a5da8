#include "record/shim/unwinder.h"

#include "record/shim/byte_reader.h"
#include "record/shim/modules.h"
#include "record/shim/raw_syscall.h"
#include "record/shim/ring.h"

namespace faultline::shim {

namespace {

RuleCache* rule_cache = nullptr;
std::atomic<std::uint32_t> code_generation{1};
std::uint64_t main_stack_end = 0;

constexpr std::uint64_t kTrustedGrowth = 64 * 1024;     // a larger frame is looked at through the kernel first
constexpr std::uint64_t kMaxGrowth = 64 * 1024 * 1024;  // and nothing is larger than this
constexpr std::uint64_t kMaxStack = std::uint64_t{1} << 30;

enum class Step { caller, end, lost };

struct Walker {
  ThreadRing& ring;
  FrameRegisters registers;
  std::uint64_t stack_end;       // no frame lies above
  std::uint64_t restored_at = 0;
  bool exact = false;            // registers.pc is not a return address but an interrupted instruction
  bool reusable = true;

  bool step_fast(WalkFrame& frame);
  Step step(WalkFrame& frame);
  Step apply(PackedRule rule, WalkFrame& frame);
  Step step_by_tables(WalkFrame& frame);
  Step step_by_frame_pointer(bool known_object, WalkFrame& frame);
  bool plausible_cfa(std::uint64_t cfa, bool from_rbp) const;
  Step return_to(std::uint64_t pc, std::uint64_t cfa, std::uint64_t rbp, std::uint64_t rbp_slot);
};

// Threads have their stack below their thread control block; the main thread below the arguments of the program. A signal
// stack or a coroutine lies elsewhere: then only the growth limits hold.
std::uint64_t end_of_stack(std::uint64_t sp) {
  const std::uint64_t control_block = thread_pointer();
  if (sp < main_stack_end && main_stack_end - sp < kMaxStack) return main_stack_end + 64;
  if (sp < control_block && control_block - sp < kMaxStack) return control_block;
  return ~std::uint64_t{0} - kMaxGrowth;
}

bool Walker::plausible_cfa(std::uint64_t cfa, bool from_rbp) const {
  if (cfa <= registers.sp || cfa > stack_end || (cfa & 7) != 0) return false;
  const std::uint64_t growth = cfa - registers.sp;
  if (growth <= kTrustedGrowth || (!from_rbp && growth <= kMaxGrowth)) return true;
  std::uint64_t words[2];
  return growth <= kMaxGrowth && read_guarded(cfa - 16, words, 2);
}

Step Walker::return_to(std::uint64_t pc, std::uint64_t cfa, std::uint64_t rbp, std::uint64_t rbp_slot) {
  if (pc < 4096) {  // a hand-made stack bottom; depends on memory that a later walk would not look at
    reusable = false;
    return Step::end;
  }
  registers = {pc, cfa, rbp};
  restored_at = rbp_slot;
  exact = false;
  return Step::caller;
}

Step Walker::apply(PackedRule rule, WalkFrame& frame) {
  frame.flags = (rule.consumes_rbp() ? kConsumesRbp : 0) | (rule.restores_rbp() ? kRestoresRbp : 0);
  switch (rule.kind()) {
    case PackedKind::rsp:
    case PackedKind::rbp: {
      const bool from_rbp = rule.kind() == PackedKind::rbp;
      const std::uint64_t cfa = (from_rbp ? registers.rbp : registers.sp) + static_cast<std::uint64_t>(rule.cfa_offset());
      if (!plausible_cfa(cfa, from_rbp)) return Step::lost;
      std::uint64_t rbp = registers.rbp, slot = 0;
      if (rule.rbp_below_cfa() != 0) {
        slot = cfa - rule.rbp_below_cfa();
        rbp = load_word(slot);
      }
      return return_to(load_word(cfa - 8), cfa, rbp, slot);
    }
    case PackedKind::rbp_deref: {
      frame.flags |= kOpaque;
      const std::uint64_t place = registers.rbp + static_cast<std::uint64_t>(rule.cfa_offset());
      if (place < registers.sp || registers.rbp - registers.sp > kTrustedGrowth || place + 16 > stack_end) return Step::lost;
      const std::uint64_t cfa = load_word(place);
      if (!plausible_cfa(cfa, true)) return Step::lost;
      return return_to(load_word(cfa - 8), cfa, load_word(registers.rbp), registers.rbp);
    }
    case PackedKind::end: return Step::end;
    case PackedKind::bare: return step_by_frame_pointer(true, frame);
    case PackedKind::none: break;
  }
  return Step::lost;
}

bool pack(const CfiRow& row, PackedRule& rule) {
  if (row.return_address.kind == RuleKind::undefined) {
    rule = PackedRule::make(PackedKind::end);
    return true;
  }
  if (row.return_address.kind != RuleKind::offset || row.return_address.value != -8) return false;
  if (row.cfa_is_expression) {
    // rbp + n, deref: "DW_OP_breg6 n; DW_OP_deref" with rbp saved at rbp + 0.
    ByteReader reader(static_cast<std::uint64_t>(row.cfa_value), static_cast<std::uint64_t>(row.cfa_value) + row.expression_length);
    if (reader.fixed<std::uint8_t>() != 0x76) return false;
    const std::int64_t offset = reader.sleb();
    if (reader.fixed<std::uint8_t>() != 0x06 || !reader.ok() || reader.at() != reader.end()) return false;
    if (row.rbp.kind != RuleKind::expression || row.rbp.expression_length != 2) return false;
    ByteReader saved(static_cast<std::uint64_t>(row.rbp.value), static_cast<std::uint64_t>(row.rbp.value) + 2);
    if (saved.fixed<std::uint8_t>() != 0x76 || saved.sleb() != 0 || !PackedRule::packable(offset, 0)) return false;
    rule = PackedRule::make(PackedKind::rbp_deref, offset);
    return true;
  }
  if (row.cfa_register != kRsp && row.cfa_register != kRbp) return false;
  std::uint64_t rbp_below = 0;
  if (row.rbp.kind == RuleKind::offset) {
    if (row.rbp.value >= 0) return false;
    rbp_below = static_cast<std::uint64_t>(-row.rbp.value);
  } else if (row.rbp.kind != RuleKind::same) {
    return false;
  }
  if (!PackedRule::packable(row.cfa_value, rbp_below)) return false;
  rule = PackedRule::make(row.cfa_register == kRsp ? PackedKind::rsp : PackedKind::rbp, row.cfa_value, rbp_below);
  return true;
}

__attribute__((noinline)) Step Walker::step_by_tables(WalkFrame& frame) {
  const std::uint64_t pc = exact ? registers.pc : registers.pc - 1;
  CodeObject object;
  if (!find_code_object(pc, object)) return step_by_frame_pointer(false, frame);
  announce_module(ring, object);
  FrameDescription description;
  CfiRow row;
  if (!find_frame_description(object, pc, description) || !interpret(description, pc, row)) {
    if (!exact) rule_cache->store(registers.pc, PackedRule::make(PackedKind::bare));
    return step_by_frame_pointer(true, frame);
  }
  PackedRule rule;
  if (pack(row, rule)) {
    if (!exact) rule_cache->store(registers.pc, rule);
    return apply(rule, frame);
  }

  // Signal frames, PLT entries and other rare code: evaluated in full, never remembered.
  reusable = false;
  const std::uint64_t low = registers.sp - 256, high = registers.sp + kTrustedGrowth < stack_end ? registers.sp + kTrustedGrowth : stack_end;
  const auto value_of = [&](const RegisterRule& r, std::uint64_t cfa, std::uint64_t unchanged, std::uint64_t& value) {
    std::uint64_t place = 0;
    switch (r.kind) {
      case RuleKind::same: value = unchanged; return true;
      case RuleKind::undefined: value = 0; return true;
      case RuleKind::value_offset: value = cfa + static_cast<std::uint64_t>(r.value); return true;
      case RuleKind::offset: place = cfa + static_cast<std::uint64_t>(r.value); break;
      case RuleKind::expression:
      case RuleKind::value_expression:
        if (!evaluate(static_cast<std::uint64_t>(r.value), r.expression_length, registers, true, cfa, low, high, place)) return false;
        if (r.kind == RuleKind::value_expression) {
          value = place;
          return true;
        }
        break;
      case RuleKind::other: return false;
    }
    return read_guarded(place, &value, 1);
  };
  std::uint64_t cfa = 0, return_pc = 0, rbp = 0;
  if (row.cfa_is_expression) {
    if (!evaluate(static_cast<std::uint64_t>(row.cfa_value), row.expression_length, registers, false, 0, low, high, cfa)) return Step::lost;
  } else if (row.cfa_register == kRsp || row.cfa_register == kRbp) {
    cfa = (row.cfa_register == kRsp ? registers.sp : registers.rbp) + static_cast<std::uint64_t>(row.cfa_value);
  } else {
    return Step::lost;
  }
  if (!value_of(row.return_address, cfa, 0, return_pc) || !value_of(row.rbp, cfa, registers.rbp, rbp)) return Step::lost;
  if (!description.signal_frame && !plausible_cfa(cfa, true)) return Step::lost;
  const Step outcome = return_to(return_pc, cfa, rbp, 0);
  if (description.signal_frame) {  // the interrupted code may run on another stack
    stack_end = end_of_stack(cfa);
    exact = true;
  }
  return outcome;
}

// Code without tables. On a stack whose bounds are known the step is what PackedKind::rbp would be, and remembered like it; elsewhere
// every walk asks the kernel anew.
Step Walker::step_by_frame_pointer(bool known_object, WalkFrame& frame) {
  const std::uint64_t rbp = registers.rbp;
  const bool plausible = !exact && rbp >= registers.sp && rbp - registers.sp <= 16 * kTrustedGrowth && (rbp & 7) == 0 && rbp + 16 <= stack_end;
  std::uint64_t words[2];
  if (plausible && ring.stack.readable(registers.sp, stack_end, rbp, 16)) {
    words[0] = load_word(rbp);
    words[1] = load_word(rbp + 8);
    frame.flags = kConsumesRbp | kRestoresRbp;
  } else {
    reusable = false;
    if (!plausible || !read_guarded(rbp, words, 2)) return Step::lost;
  }
  if (words[1] < 4096) return Step::lost;
  CodeObject object;
  if (!find_code_object(words[1] - 1, object) && known_object) return Step::lost;  // from a file's code into nowhere: garbage
  return return_to(words[1], rbp + 16, words[0], rbp);
}

__attribute__((noinline)) Step Walker::step(WalkFrame& frame) {
  if (!exact) {
    const PackedRule rule = rule_cache->find(registers.pc);
    if (rule.kind() != PackedKind::none) return apply(rule, frame);
  }
  return step_by_tables(frame);
}

// The usual case of step(), inlined: a cached rule with a small frame on a known stack. False: nothing was done.
__attribute__((always_inline)) inline bool Walker::step_fast(WalkFrame& frame) {
  if (exact) return false;
  const PackedRule rule = rule_cache->find(registers.pc);
  if (rule.kind() != PackedKind::rsp && rule.kind() != PackedKind::rbp) return false;
  const bool from_rbp = rule.kind() == PackedKind::rbp;
  const std::uint64_t cfa = (from_rbp ? registers.rbp : registers.sp) + static_cast<std::uint64_t>(rule.cfa_offset());
  if (cfa - registers.sp - 1 >= kTrustedGrowth || cfa > stack_end || (cfa & 7) != 0) return false;
  const std::uint64_t pc = load_word(cfa - 8);
  if (pc < 4096) return false;
  frame.flags = (from_rbp ? kConsumesRbp : 0) | (rule.rbp_below_cfa() != 0 ? kRestoresRbp : 0);
  restored_at = 0;
  if (rule.rbp_below_cfa() != 0) {
    restored_at = cfa - rule.rbp_below_cfa();
    registers.rbp = load_word(restored_at);
  }
  registers.pc = pc;
  registers.sp = cfa;
  return true;
}

inline std::uint64_t mix(std::uint64_t hash, std::uint64_t pc) {
  hash = (hash ^ pc) * 0x9e3779b97f4a7c15u;
  return hash ^ (hash >> 29);
}

// How many outer frames, counted from frames[met], still stand: the index of the last one proved (0: all of them).
inline int check_outwards(const StackWalk& walk, int met) {
  int v = met;
  while (v > 0 && (walk.frames[v].flags & kOpaque) == 0) {
    const WalkFrame& outer = walk.frames[v - 1];
    if (load_word(outer.sp - 8) != outer.pc) break;
    if ((outer.flags & kRbpMatters) != 0 && outer.restored_at != 0 && load_word(outer.restored_at) != outer.rbp) break;
    --v;
  }
  return v;
}

}  // namespace

void walk_stack(ThreadRing& ring, FrameRegisters start) {
  StackWalk& walk = ring.walk;
  const std::uint32_t generation = code_generation.load(std::memory_order_acquire);
  if (!walk.reusable || walk.generation != generation) walk.depth = 0;
  walk.generation = generation;

  Walker walker{ring, start, end_of_stack(start.sp)};
  int candidate = static_cast<int>(walk.depth) - 1;
  unsigned fresh = 0, shared = 0;
  for (;;) {
    const FrameRegisters& now = walker.registers;
    while (candidate >= 0 && walk.frames[candidate].sp < now.sp) --candidate;
    WalkFrame* const met = candidate >= 0 ? &walk.frames[candidate] : nullptr;
    if (met != nullptr && met->sp == now.sp && met->pc == now.pc && !walker.exact && ((met->flags & kRbpMatters) == 0 || met->rbp == now.rbp)) {
      met->rbp = now.rbp;
      met->restored_at = walker.restored_at;
      const int proved = check_outwards(walk, candidate);
      if (proved == 0) {
        shared = static_cast<unsigned>(candidate) + 1;
        break;
      }
      // Frames down to `proved` stand; what the last of them returns to is new. rbp is carried along anew because it was
      // compared only where it mattered to the old outer frames.
      std::uint64_t rbp = now.rbp, slot = walker.restored_at;
      for (int i = candidate; i >= proved && fresh < kWalkCapacity; --i) {
        if (i < candidate) {
          slot = (walk.frames[i + 1].flags & kRestoresRbp) != 0 ? walk.frames[i].restored_at : 0;
          if (slot != 0) rbp = load_word(slot);
        }
        WalkFrame& copy = walk.fresh[fresh++] = walk.frames[i];
        copy.rbp = rbp;
        copy.restored_at = slot;
      }
      walker.registers = {walk.frames[proved].pc, walk.frames[proved].sp, rbp};
      candidate = proved - 1;
    } else {
      WalkFrame& frame = walk.fresh[fresh++];
      frame = WalkFrame{};
      frame.sp = now.sp;
      frame.pc = now.pc;
      frame.rbp = now.rbp;
      frame.restored_at = walker.restored_at;
    }
    if (fresh >= kWalkCapacity) {
      walker.reusable = false;
      break;
    }
    if (__builtin_expect(walker.step_fast(walk.fresh[fresh - 1]), 1)) continue;
    const Step outcome = walker.step(walk.fresh[fresh - 1]);
    if (outcome == Step::caller) continue;
    if (outcome == Step::lost) walker.reusable = false;
    break;
  }

  if (shared + fresh > kWalkCapacity) {  // too deep to keep: the innermost frames only, and no memory of it
    walker.reusable = false;
    shared = kWalkCapacity - fresh;
  }
  walk.depth = shared;
  while (fresh > 0) {
    WalkFrame& frame = walk.frames[walk.depth];
    frame = walk.fresh[--fresh];
    const WalkFrame* outer = walk.depth > 0 ? &walk.frames[walk.depth - 1] : nullptr;
    const std::uint64_t inherited = outer != nullptr && (frame.flags & kRestoresRbp) == 0 ? outer->flags & kRbpMatters : 0;
    frame.flags = (frame.flags & ~std::uint64_t{kRbpMatters}) | inherited | ((frame.flags & kConsumesRbp) != 0 ? kRbpMatters : 0);
    frame.hash = mix(outer != nullptr ? outer->hash : 0, frame.pc);
    ++walk.depth;
  }
  walk.reusable = walker.reusable;
}

void set_main_stack_end(std::uint64_t address) { main_stack_end = address; }

void forget_code() {
  code_generation.fetch_add(1, std::memory_order_acq_rel);
  if (rule_cache != nullptr) rule_cache->clear();
}

void set_rule_cache(RuleCache* cache) { rule_cache = cache; }

}  // namespace faultline::shim
