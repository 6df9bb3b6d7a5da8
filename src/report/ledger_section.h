// The ledger on the terminal.
#pragma once

#include "report/report.h"
#include "report/text.h"

namespace faultline::report {

void print_ledger(const Report& report, Page& page);

}  // namespace faultline::report
