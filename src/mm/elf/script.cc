#include "mm/elf/script.h"

#include <algorithm>
#include <string_view>

namespace faultline::mm::elf {

namespace {
constexpr std::size_t kBufferBytes = 256;  // BINPRM_BUF_SIZE
constexpr std::string_view kBlank = " \t";
constexpr std::string_view kNameEnds(" \t\0", 3);
}  // namespace

std::optional<ScriptLine> ScriptLine::parse(std::span<const std::uint8_t> bytes) {
  // The kernel's buffer: zeros after the end of a short file.
  std::string buffer(kBufferBytes, '\0');
  std::copy_n(bytes.begin(), std::min(bytes.size(), kBufferBytes), buffer.begin());
  if (!buffer.starts_with("#!")) return std::nullopt;

  std::string_view line(buffer);
  // strnchr(): the newline counts only before the first NUL.
  const std::size_t newline = line.substr(0, line.find('\0')).find('\n');
  if (newline != std::string_view::npos) {
    line = line.substr(0, newline);
  } else {
    // Without a newline the line may be cut off. It is taken when at least the interpreter's name is seen to end.
    const std::size_t name = line.find_first_not_of(kBlank, 2);
    if (name == std::string_view::npos || line.find_first_of(kNameEnds, name) == std::string_view::npos) return std::nullopt;
    line = line.substr(0, kBufferBytes - 1);
  }
  const std::size_t last = line.find_last_not_of(kBlank);
  line = line.substr(0, last + 1);
  const std::size_t name = line.find_first_not_of(kBlank, 2);
  if (name == std::string_view::npos) return std::nullopt;
  const std::size_t name_end = std::min(line.find_first_of(kNameEnds, name), line.size());

  ScriptLine script;
  script.interpreter = line.substr(name, name_end - name);
  if (name_end < line.size() && line[name_end] != '\0') {
    const std::size_t argument = line.find_first_not_of(kBlank, name_end);
    if (argument != std::string_view::npos) {
      const std::string_view rest = line.substr(argument);
      script.argument = std::string(rest.substr(0, rest.find('\0')));
    }
  }
  return script;
}

}  // namespace faultline::mm::elf
