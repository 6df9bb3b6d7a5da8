#include "cli/command_line.h"

#include "cli/version.h"

namespace faultline::cli {

CommandLine::CommandLine()
    : app_{"faultline shows where a Linux process's memory and page faults come from, predicts what any setting would change, and proves it.", "faultline"} {
  app_.set_version_flag("--version", std::string("faultline ") + kVersion);
  app_.require_subcommand(1);
  for (const CommandDescriptor& descriptor : Registry<CommandDescriptor>::instance().entries()) {
    CLI::App* const sub = app_.add_subcommand(descriptor.name, descriptor.summary);
    auto command = descriptor.make();
    command->describe(*sub);
    commands_.emplace(sub, std::move(command));
  }
}

}  // namespace faultline::cli
