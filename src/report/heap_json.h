// The report's part on malloc's heaps as JSON.
#pragma once

#include <nlohmann/json.hpp>

#include "report/report.h"

namespace faultline::report {

nlohmann::ordered_json heap_json(const analyze::HeapMoments& heap);

}  // namespace faultline::report
