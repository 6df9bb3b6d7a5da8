// What this kernel is told about huge pages: sysfs, transparent_hugepage.
#pragma once

#include <string>

namespace faultline::spec {

// Whether the line of the file `name` has `value` in it. Where a line lists what is possible, brackets are around what holds.
bool thp_setting_has(const std::string& name, const std::string& value);

inline bool huge_pages_by_advice() { return thp_setting_has("enabled", "[madvise]"); }

}  // namespace faultline::spec
