// What the process looks like when it ends or is replaced.
#pragma once

namespace faultline::shim {

// Writes exit and exit_touch records, unless this is a vfork child or a process that is not recorded. May run again after a
// failed exec; the reader takes the last report.
void report_exit();

}  // namespace faultline::shim
