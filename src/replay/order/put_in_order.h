// put_in_order: a Program's events in another order, and with them everything that names an event by its place.
#pragma once

#include <cstdint>
#include <span>

#include "replay/program.h"

namespace faultline::replay {

// order[place] is the event that goes there. Foreign breaks and ends of threads keep their places.
void put_in_order(Program& program, std::span<const std::uint32_t> order);

}  // namespace faultline::replay
