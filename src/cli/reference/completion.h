// Completion for bash (and for zsh through bashcompinit) from the definitions of the commands.
#pragma once

#include <string>

#include "cli/command_line.h"

namespace faultline::cli {

std::string bash_completion(CommandLine& line);

}  // namespace faultline::cli
