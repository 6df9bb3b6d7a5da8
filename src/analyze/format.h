// Quantities as people read them: binary units, three digits, unit always said.
#pragma once

#include <cstdint>
#include <string>

namespace faultline::analyze {

std::string format_bytes(std::uint64_t bytes);   // "512 B", "4.0 KiB", "1.25 GiB"
std::string format_time(double ns);              // "850 ns", "1.62 µs", "3.4 ms", "12.1 s"
std::string format_count(std::uint64_t count);   // "1,234,567"
std::string format_share(double share);          // 0.0312 -> "3.1 %"

}  // namespace faultline::analyze
