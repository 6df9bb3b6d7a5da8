// Program: calls of one or more processes, as data: made at random from a seed, printed, read back from a corpus file,
// made smaller while it still fails.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "process.h"

namespace faultline::spec {

// Process 0 is there from the start; fork names the child. A step of a process that is not there is left out.
struct Step {
  std::uint32_t process = 0;
  Call call;
};
using Program = std::vector<Step>;

// What random programs may contain.
struct Shape {
  int calls = 40;
  bool forks = false;
  bool every_call = false;   // locks, limits, guards and all the rest as well
  std::uint64_t room = 64;   // pages of the window that programs use: small, so that calls meet
  bool shared_memory = false;
  bool huge_pages = false;   // four regions of 2 MiB, addresses near their edges
  bool files = false;        // begins with opening some
  bool large_folios = true;  // of those files; to be seen by root only
};

inline constexpr std::uint64_t kRoom = 64;  // of programs that fork

Program random_program(std::uint64_t seed, const Shape& shape);

// One step a line: process, name of the call, a to e. Lines that begin with # are comments.
std::string to_text(const Program& program);
Program from_text(std::string_view text);  // throws std::runtime_error with the line

// Runs it on this kernel and on the twin and compares after every step: result and errno, faults of the call, and of every
// process the mappings and the entries. The first difference in words, or nothing.
class KernelProcess;
std::string compare(KernelProcess& kernel, const Program& program);

// The smallest program found that still differs.
Program shrink(KernelProcess& kernel, Program program);

}  // namespace faultline::spec
