// Hello and Welcome: the unix socket lives only inside connect_to_recorder(); no descriptor stays open.
#pragma once

#include "trace/wire.h"

namespace faultline::shim {

// Maps the segment the recorder hands out. nullptr: no recorder, it declined, or it speaks another version.
wire::SegmentHeader* connect_to_recorder(bool forked_without_exec, wire::Welcome& welcome);

}  // namespace faultline::shim
