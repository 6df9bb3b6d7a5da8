#include "program.h"

#include <fmt/format.h>

#include <array>
#include <sstream>
#include <stdexcept>

namespace faultline::spec {

namespace {
constexpr std::array<const char*, 24> kNames = {
    "mmap", "munmap", "mprotect", "mremap",  "madvise",  "brk",        "touch", "reset",   "mmap_keep", "mremap_keep",
    "fork", "exit",   "mlock",    "munlock", "mlockall", "munlockall", "msync", "mincore", "limit",
    "open", "map_file", "truncate", "fsync", "huge"};
}

std::string to_text(const Program& program) {
  std::string text;
  const auto number = [](std::uint64_t n) {
    if (n >= kWindow && n <= kWindow + kWindowBytes) return fmt::format("W+{:#x}", n - kWindow);
    return fmt::format("{:#x}", n);
  };
  for (const Step& step : program) {
    const Call& call = step.call;
    text += fmt::format("{} {}", step.process, kNames[static_cast<std::size_t>(call.op)]);
    std::array<std::uint64_t, 5> arguments = {call.a, call.b, call.c, call.d, call.e};
    std::size_t count = arguments.size();
    while (count > 0 && arguments[count - 1] == 0) --count;
    for (std::size_t i = 0; i < count; ++i) text += fmt::format(" {}", number(arguments[i]));
    text += '\n';
  }
  return text;
}

Program from_text(std::string_view text) {
  Program program;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    Step step;
    std::string name;
    if (!(words >> step.process >> name)) throw std::runtime_error("no step: " + line);
    std::size_t op = 0;
    while (op < kNames.size() && name != kNames[op]) ++op;
    if (op == kNames.size()) throw std::runtime_error("no such call: " + line);
    step.call.op = static_cast<Op>(op);
    const std::array<std::uint64_t*, 5> arguments = {&step.call.a, &step.call.b, &step.call.c, &step.call.d, &step.call.e};
    std::size_t count = 0;
    for (std::string word; words >> word; ++count) {
      const bool place = word.rfind("W+", 0) == 0;
      if (count == arguments.size()) throw std::runtime_error("too many numbers: " + line);
      *arguments[count] = std::stoull(place ? word.substr(2) : word, nullptr, 0) + (place ? kWindow : 0);
    }
    program.push_back(step);
  }
  return program;
}

}  // namespace faultline::spec
