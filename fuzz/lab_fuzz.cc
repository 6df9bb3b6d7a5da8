// The lab's parser and interpreter against any text: no script crashes it, keeps it busy, or takes much memory. exec is off:
// files have a target of their own (elf_fuzz).
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "lab/lab.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace faultline;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  lab::LabOptions options;
  options.may_exec = false;
  options.frames = 2'000;
  options.most_frames = 4'000;
  options.most_pages_at_once = 3'000;
  options.most_processes = 8;
  options.most_repetitions = 100;
  options.picture = size % 2 != 0;
  std::size_t printed = 0;
  lab::Lab lab(options, [&](std::string_view out) { printed += out.size(); });
  for (int lines = 0; !text.empty() && lines < 200; ++lines) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const auto next = lab.run_line(text.substr(0, end));
    if (!next) FL_ASSERT(next.error().message().find('\n') == std::string::npos);
    if (next && *next == lab::Lab::Next::stop) break;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (lab.has_machine()) lab.machine().check_invariants();
  return 0;
}
