// The whole command line: one subcommand per registered command.
#pragma once

#include <map>
#include <memory>

#include "cli/command.h"

namespace faultline::cli {

class CommandLine {
 public:
  CommandLine();
  CLI::App& app() { return app_; }
  Command& command(const CLI::App& subcommand) { return *commands_.at(&subcommand); }

 private:
  CLI::App app_;
  std::map<const CLI::App*, std::unique_ptr<Command>> commands_;
};

}  // namespace faultline::cli
