// Manual pages from the definitions of the commands: what --help says, as man(7) wants it.
#pragma once

#include <string>

#include "cli/command_line.h"

namespace faultline::cli {

std::string man_page(CommandLine& line);                            // faultline(1)
std::string man_page(CommandLine& line, const CLI::App& command);   // faultline-COMMAND(1)

}  // namespace faultline::cli
