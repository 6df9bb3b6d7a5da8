// Workspace: what one replay leaves to the next one, so that the host need not hand out and zero the same memory again. It holds
// nothing that a replay could see. One at a time may use it.
#pragma once

#include <optional>
#include <vector>

#include "heap/on/host_pages.h"
#include "replay/heap_looks.h"

namespace faultline::replay {

struct Workspace {
  std::optional<heap::HostPages> heap_words;
  std::vector<Slot> slots;
};

}  // namespace faultline::replay
