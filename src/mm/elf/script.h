// ScriptLine: the first line of a program that begins with "#!". Counterpart: load_script() (fs/binfmt_script.c).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace faultline::mm::elf {

struct ScriptLine {
  std::string interpreter;
  std::optional<std::string> argument;  // all the rest of the line, as one argument

  // nothing: not a script the kernel would run (ENOEXEC). Only the first 256 bytes decide.
  static std::optional<ScriptLine> parse(std::span<const std::uint8_t> bytes);
};

}  // namespace faultline::mm::elf
