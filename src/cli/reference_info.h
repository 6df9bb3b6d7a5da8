// What `info` prints of a reference stream.
#pragma once

#include <string>

#include "base/result.h"

namespace faultline::cli {

Result<int> print_reference_info(const std::string& path, bool json);

}  // namespace faultline::cli
