// What the process looked like before its first malloc call reached the allocator.
#pragma once

#include "record/shim/ring.h"

namespace faultline::shim {

void write_start_record(ThreadRing& ring);

// Appends a /proc file as text records of `kind`, in parts, after what `text` (in ring.scratch) already holds.
class Text;
void write_text_and_file(ThreadRing& ring, wire::RecordKind kind, Text& text, const char* path);

}  // namespace faultline::shim
