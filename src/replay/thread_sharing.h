// How much threads do with each other's blocks: what one frees and another one's arena gets back hangs on who comes first, and that
// differs from run to run.
#pragma once

#include "replay/program.h"

namespace faultline::replay {

// Of all blocks that were freed, the share that another thread had allocated. 0 where there is one thread.
double freed_by_others(const Program& program);

}  // namespace faultline::replay
