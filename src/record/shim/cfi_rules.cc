#include "record/shim/cfi_rules.h"

#include "record/shim/byte_reader.h"
#include "record/shim/raw_syscall.h"

namespace faultline::shim {

namespace {

constexpr unsigned kRememberDepth = 4;

struct Interpreter {
  const FrameDescription& description;
  std::uint64_t pc;
  std::uint64_t location;
  CfiRow row, initial;
  CfiRow remembered[kRememberDepth];
  unsigned depth = 0;

  void set_rule(std::uint64_t reg, RegisterRule rule) {
    if (reg == kRbp) row.rbp = rule;
    if (reg == description.return_register) row.return_address = rule;
  }
  void restore_rule(std::uint64_t reg) {
    if (reg == kRbp) row.rbp = initial.rbp;
    if (reg == description.return_register) row.return_address = initial.return_address;
  }
  void set_cfa(std::uint64_t reg, std::int64_t offset) {
    row.cfa_is_expression = false;
    row.cfa_register = reg < 32 ? static_cast<std::uint8_t>(reg) : 255;
    row.cfa_value = offset;
  }

  // Runs until the end or until the location passes pc. False on a damaged or unknown instruction.
  bool run(std::uint64_t at, std::uint64_t end);
  bool extended(std::uint8_t opcode, ByteReader& reader);
};

bool Interpreter::run(std::uint64_t at, std::uint64_t end) {
  ByteReader reader(at, end, description.aside);
  while (!reader.done()) {
    const std::uint8_t opcode = reader.fixed<std::uint8_t>();
    const std::uint64_t operand = opcode & 0x3f;
    switch (opcode >> 6) {
      case 1: location += operand * description.code_align; break;  // DW_CFA_advance_loc
      case 2:                                                       // DW_CFA_offset
        set_rule(operand, {RuleKind::offset, 0, static_cast<std::int64_t>(reader.uleb()) * description.data_align});
        break;
      case 3: restore_rule(operand); break;  // DW_CFA_restore
      default:
        if (!extended(opcode, reader)) return false;
    }
    if (location > pc) return reader.ok();
  }
  return reader.ok();
}

bool Interpreter::extended(std::uint8_t opcode, ByteReader& reader) {
  switch (opcode) {
    case 0x00: return true;  // DW_CFA_nop
    case 0x01: location = reader.encoded(description.pointer_encoding, 0); return true;
    case 0x02: location += reader.fixed<std::uint8_t>() * description.code_align; return true;
    case 0x03: location += reader.fixed<std::uint16_t>() * description.code_align; return true;
    case 0x04: location += reader.fixed<std::uint32_t>() * description.code_align; return true;
    case 0x05: {  // DW_CFA_offset_extended
      const std::uint64_t reg = reader.uleb();
      set_rule(reg, {RuleKind::offset, 0, static_cast<std::int64_t>(reader.uleb()) * description.data_align});
      return true;
    }
    case 0x06: restore_rule(reader.uleb()); return true;
    case 0x07: set_rule(reader.uleb(), {RuleKind::undefined, 0, 0}); return true;
    case 0x08: set_rule(reader.uleb(), {RuleKind::same, 0, 0}); return true;
    case 0x09: {  // DW_CFA_register
      const std::uint64_t reg = reader.uleb();
      reader.uleb();
      set_rule(reg, {RuleKind::other, 0, 0});
      return true;
    }
    case 0x0a:  // DW_CFA_remember_state
      if (depth == kRememberDepth) return false;
      remembered[depth++] = row;
      return true;
    case 0x0b:  // DW_CFA_restore_state: the CFA too, as gcc and every consumer have it
      if (depth == 0) return false;
      row = remembered[--depth];
      return true;
    case 0x0c: {  // DW_CFA_def_cfa
      const std::uint64_t reg = reader.uleb();
      set_cfa(reg, static_cast<std::int64_t>(reader.uleb()));
      return true;
    }
    case 0x0d: set_cfa(reader.uleb(), row.cfa_value); return true;
    case 0x0e: set_cfa(row.cfa_register, static_cast<std::int64_t>(reader.uleb())); return true;
    case 0x0f: {  // DW_CFA_def_cfa_expression
      const std::uint64_t length = reader.uleb();
      row.cfa_is_expression = true;
      row.cfa_value = static_cast<std::int64_t>(reader.place());
      row.expression_length = static_cast<std::uint32_t>(length);
      reader.skip(length);
      return true;
    }
    case 0x10:    // DW_CFA_expression
    case 0x16: {  // DW_CFA_val_expression
      const std::uint64_t reg = reader.uleb();
      const std::uint64_t length = reader.uleb();
      set_rule(reg, {opcode == 0x10 ? RuleKind::expression : RuleKind::value_expression, static_cast<std::uint32_t>(length),
                     static_cast<std::int64_t>(reader.place())});
      reader.skip(length);
      return true;
    }
    case 0x11: {  // DW_CFA_offset_extended_sf
      const std::uint64_t reg = reader.uleb();
      set_rule(reg, {RuleKind::offset, 0, reader.sleb() * description.data_align});
      return true;
    }
    case 0x12: {  // DW_CFA_def_cfa_sf
      const std::uint64_t reg = reader.uleb();
      set_cfa(reg, reader.sleb() * description.data_align);
      return true;
    }
    case 0x13: set_cfa(row.cfa_register, reader.sleb() * description.data_align); return true;
    case 0x14:    // DW_CFA_val_offset
    case 0x15: {  // DW_CFA_val_offset_sf
      const std::uint64_t reg = reader.uleb();
      const std::int64_t offset = opcode == 0x14 ? static_cast<std::int64_t>(reader.uleb()) : reader.sleb();
      set_rule(reg, {RuleKind::value_offset, 0, offset * description.data_align});
      return true;
    }
    case 0x2e: reader.uleb(); return true;  // DW_CFA_GNU_args_size
    default: return false;
  }
}

}  // namespace

bool interpret(const FrameDescription& description, std::uint64_t pc, CfiRow& row) {
  Interpreter machine{description, pc, description.code_start, {}, {}, {}, 0};
  machine.row.return_address = {RuleKind::undefined, 0, 0};
  if (!machine.run(description.initial, description.initial_end)) return false;
  machine.initial = machine.row;
  if (!machine.run(description.instructions, description.instructions_end)) return false;
  row = machine.row;
  return true;
}

bool evaluate(std::uint64_t expression, std::uint32_t length, const FrameRegisters& registers, bool has_initial,
              std::uint64_t initial, std::uint64_t low, std::uint64_t high, std::uint64_t& result) {
  constexpr unsigned kDepth = 16;
  std::uint64_t stack[kDepth];
  unsigned n = 0;
  if (has_initial) stack[n++] = initial;
  ByteReader reader(expression, expression + length);
  while (!reader.done()) {
    if (n + 1 >= kDepth) return false;
    const std::uint8_t op = reader.fixed<std::uint8_t>();
    if (op >= 0x30 && op <= 0x4f) {  // DW_OP_lit0..31
      stack[n++] = op - 0x30u;
      continue;
    }
    if (op >= 0x70 && op <= 0x8f) {  // DW_OP_breg0..31
      const std::uint64_t offset = static_cast<std::uint64_t>(reader.sleb());
      const unsigned reg = op - 0x70u;
      if (reg == kRsp) stack[n++] = registers.sp + offset;
      else if (reg == kRbp) stack[n++] = registers.rbp + offset;
      else if (reg == kRip) stack[n++] = registers.pc + offset;
      else return false;
      continue;
    }
    switch (op) {
      case 0x08: stack[n++] = reader.fixed<std::uint8_t>(); continue;
      case 0x09: stack[n++] = static_cast<std::uint64_t>(std::int64_t{reader.fixed<std::int8_t>()}); continue;
      case 0x0a: stack[n++] = reader.fixed<std::uint16_t>(); continue;
      case 0x0b: stack[n++] = static_cast<std::uint64_t>(std::int64_t{reader.fixed<std::int16_t>()}); continue;
      case 0x0c: stack[n++] = reader.fixed<std::uint32_t>(); continue;
      case 0x0d: stack[n++] = static_cast<std::uint64_t>(std::int64_t{reader.fixed<std::int32_t>()}); continue;
      case 0x0e:
      case 0x0f: stack[n++] = reader.fixed<std::uint64_t>(); continue;
      case 0x10: stack[n++] = reader.uleb(); continue;
      case 0x11: stack[n++] = static_cast<std::uint64_t>(reader.sleb()); continue;
      case 0x96: continue;  // DW_OP_nop
      default: break;
    }
    if (n == 0) return false;
    std::uint64_t& top = stack[n - 1];
    switch (op) {
      case 0x06:  // DW_OP_deref
        if (top < low || top + 8 > high || top + 8 < top) return false;
        top = load_word(top);
        continue;
      case 0x12: stack[n] = top; ++n; continue;  // DW_OP_dup
      case 0x13: --n; continue;                  // DW_OP_drop
      case 0x1f: top = 0 - top; continue;        // DW_OP_neg
      case 0x20: top = ~top; continue;           // DW_OP_not
      case 0x23: top += reader.uleb(); continue; // DW_OP_plus_uconst
      default: break;
    }
    if (n < 2) return false;
    const std::uint64_t b = stack[n - 1];
    std::uint64_t& a = stack[n - 2];
    const std::int64_t sa = static_cast<std::int64_t>(a), sb = static_cast<std::int64_t>(b);
    switch (op) {
      case 0x14: stack[n] = a; ++n; continue;                       // DW_OP_over
      case 0x16: stack[n - 1] = a; a = b; continue;                 // DW_OP_swap
      case 0x1a: a &= b; break;
      case 0x1c: a -= b; break;
      case 0x1e: a *= b; break;
      case 0x21: a |= b; break;
      case 0x22: a += b; break;
      case 0x24: a = b < 64 ? a << b : 0; break;
      case 0x25: a = b < 64 ? a >> b : 0; break;
      case 0x27: a ^= b; break;
      case 0x29: a = a == b; break;
      case 0x2a: a = sa >= sb; break;
      case 0x2b: a = sa > sb; break;
      case 0x2c: a = sa <= sb; break;
      case 0x2d: a = sa < sb; break;
      case 0x2e: a = a != b; break;
      default: return false;
    }
    --n;
  }
  if (!reader.ok() || n == 0) return false;
  result = stack[n - 1];
  return true;
}

}  // namespace faultline::shim
