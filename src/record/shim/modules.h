// Tells the recorder which files are mapped where, each once: all at the start, later ones when the unwinder meets them.
#pragma once

#include "record/shim/eh_frame.h"
#include "record/shim/ring.h"

namespace faultline::shim {

// Writes a module record unless this object was announced before. The ring must be busy.
void announce_module(ThreadRing& ring, const CodeObject& object);
void announce_loaded_modules(ThreadRing& ring);

// After a fork or a dlclose everything is announced anew.
void forget_announced_modules();

// The GNU build id of a loaded object, in its image; no bytes if it has none.
struct BuildId {
  std::uint64_t start = 0;
  std::uint32_t bytes = 0;
};
BuildId find_build_id(const CodeObject& object);

// Hex build id of a loaded object (GNU note), empty if it has none. Returns the number of characters.
std::size_t read_build_id(const CodeObject& object, char* out, std::size_t size);

// Path of the executable: /proc/self/exe, read once.
const char* executable_path();

}  // namespace faultline::shim
