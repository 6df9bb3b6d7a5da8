// The report's section on what malloc's heaps hold and who holds free memory in them.
#pragma once

#include "report/report.h"
#include "report/text.h"

namespace faultline::report {

void print_heap(const Report& report, Page& page);

}  // namespace faultline::report
