// One line of Valgrind's --trace-syscalls=yes:
//   SYSCALL[pid,tid](number) sys_name ( arguments ) --> [pre-success] Success(0x1f)     whole
//   SYSCALL[pid,tid](number) sys_name ( arguments ) --> [async] ...                     begun; the result comes later, as
//   SYSCALL[pid,tid](number) ... [async] --> Failure(0x2)
// A string argument is its address with the text behind: 0x4834(/etc/passwd).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace faultline::trace {

struct SyscallArguments {
  std::array<std::uint64_t, 6> value{};  // a negative number as its two's complement
  std::string text;                      // of the last string among them
};

struct SyscallLine {
  std::int32_t pid = 0, tid = 0;
  std::uint32_t number = 0;
  std::optional<SyscallArguments> arguments;     // of a whole or begun call
  bool ended = false, succeeded = false;
  std::uint64_t result = 0;
  std::optional<std::int32_t> child;             // fork, vfork or clone made this process
};

// Nothing where the line is not of this form.
std::optional<SyscallLine> parse_syscall_line(std::string_view line);

}  // namespace faultline::trace
