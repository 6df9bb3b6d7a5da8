// The report as text.
#pragma once

#include <string>

#include "report/report.h"
#include "report/text.h"

namespace faultline::report {

std::string render_terminal(const Report& report, const Style& style);

}  // namespace faultline::report
