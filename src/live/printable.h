// Names and command lines of processes hold any byte; a terminal must not be told to do things by them.
#pragma once

#include <string>
#include <string_view>

namespace faultline::live {

// Control characters become '?', and so does what is no UTF-8.
std::string printable(std::string_view text);

}  // namespace faultline::live
