#pragma once

#include <cstdint>
#include <string>

namespace faultline::live {

std::string signed_bytes(std::int64_t bytes);  // "+4.00 KiB", "-1.50 MiB", "0"

}  // namespace faultline::live
