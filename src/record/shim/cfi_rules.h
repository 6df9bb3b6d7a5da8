// Call frame information of one code address: DWARF 5 section 6.4, restricted to what an x86-64 stack walk needs
// (the CFA, the return address and the saved rbp).
#pragma once

#include <cstdint>

#include "record/shim/eh_frame.h"

namespace faultline::shim {

inline constexpr std::uint8_t kRbp = 6, kRsp = 7, kRip = 16;  // DWARF register numbers, x86-64 psABI figure 3.36

enum class RuleKind : std::uint8_t {
  same,            // the register was not changed
  undefined,       // cannot be recovered; for the return address: the outermost frame
  offset,          // saved at CFA + value
  value_offset,    // is CFA + value
  expression,      // saved at the address the expression computes
  value_expression,
  other,           // in another register: not supported
};

struct RegisterRule {
  RuleKind kind = RuleKind::same;
  std::uint32_t expression_length = 0;
  std::int64_t value = 0;  // offset, or address of the expression
};

struct CfiRow {
  bool cfa_is_expression = false;
  std::uint8_t cfa_register = kRsp;
  std::uint32_t expression_length = 0;
  std::int64_t cfa_value = 8;  // offset, or address of the expression
  RegisterRule rbp;
  RegisterRule return_address{RuleKind::offset, 0, -8};
};

// Registers of a frame being unwound. Only these three are followed.
struct FrameRegisters {
  std::uint64_t pc, sp, rbp;
};

// The row that covers pc. False on anything damaged or unsupported.
bool interpret(const FrameDescription& description, std::uint64_t pc, CfiRow& row);

// Evaluates a DWARF expression; memory is read only in [low, high). `initial` is pushed first when has_initial.
bool evaluate(std::uint64_t expression, std::uint32_t length, const FrameRegisters& registers, bool has_initial,
              std::uint64_t initial, std::uint64_t low, std::uint64_t high, std::uint64_t& result);

}  // namespace faultline::shim
