// The report as JSON: keys are stable and documented in docs/json.md, units are in the keys.
#pragma once

#include <string>

#include "report/report.h"

namespace faultline::report {

std::string render_json(const Report& report);

}  // namespace faultline::report
