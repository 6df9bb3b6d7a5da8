// Names and texts as the report's JSON has them everywhere.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "report/report.h"

namespace faultline::report {

nlohmann::ordered_json text_or_null(const std::string& text);
nlohmann::ordered_json name_json(const analyze::SiteName& name);

}  // namespace faultline::report
