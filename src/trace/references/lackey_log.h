// The log of Valgrind's lackey, --trace-mem=yes and perhaps --trace-syscalls=yes, of one process: lines to events.
//   I  0401ab70,3    an instruction;  " L", " S", " M 1fff0006e8,8": load, store, both ("modify": a write, as it faults as one)
// Lines of Valgrind itself (==pid==, --pid--, **pid**) are skipped but for the one that begins an image.
#pragma once

#include <string_view>

#include "trace/references/hex.h"
#include "trace/references/traced_process.h"

namespace faultline::trace {

struct LackeyTouch {
  ReferenceKind kind = ReferenceKind::read;
  std::uint64_t address = 0, size = 0;
};

inline bool parse_lackey_touch(std::string_view line, LackeyTouch& touch) {
  if (line.size() < 6 || line[2] != ' ') return false;
  if (line[0] == 'I' && line[1] == ' ') {
    touch.kind = ReferenceKind::execute;
  } else if (line[0] == ' ') {
    switch (line[1]) {
      case 'L': touch.kind = ReferenceKind::read; break;
      case 'S': case 'M': touch.kind = ReferenceKind::write; break;
      default: return false;
    }
  } else {
    return false;
  }
  const char* const end = line.data() + line.size();
  const char* at = parse_hex(line.data() + 3, end, touch.address);
  if (at == nullptr || at == end || *at != ',' || ++at == end) return false;
  touch.size = 0;
  for (; at != end; ++at) {
    const unsigned digit = static_cast<unsigned char>(*at) - unsigned{'0'};
    if (digit > 9 || touch.size > 0xffffff) return false;
    touch.size = touch.size * 10 + digit;
  }
  return touch.address + touch.size >= touch.address;
}

class LackeyLog {
 public:
  struct Reader {
    virtual ~Reader() = default;
    virtual void image_begins(TracedProcess& process, std::int32_t pid) = 0;  // to be told what is mapped, if that can be known
    virtual void forked(TracedProcess& parent, std::int32_t child) = 0;
  };

  LackeyLog(TracedWorld& world, TracedProcess process, std::int32_t pid, Reader& reader, bool forked = false)
      : world_(&world), process_(std::move(process)), pid_(pid), reader_(&reader), began_(forked) {}

  // False: no line of such a log.
  bool line(std::string_view text) {
    LackeyTouch touch;
    if (parse_lackey_touch(text, touch)) [[likely]] {
      if (!process_.ended()) process_.touch(touch.kind, touch.address, touch.size);
      return true;
    }
    return other_line(text);
  }
  TracedProcess& process() { return process_; }

 private:
  bool other_line(std::string_view text);

  TracedWorld* world_;
  TracedProcess process_;
  std::int32_t pid_;  // 0: not known yet
  Reader* reader_;
  bool began_;  // an image: one more is an execve
};

// One line each.
std::vector<std::string> remarks_of(const TracedWorld& world);

}  // namespace faultline::trace
