// faultline: dispatch to one command, print its error as one line, exit 2 on bad usage or input.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string_view>

#include "cli/command_line.h"

namespace faultline::cli {
namespace {

int run(int argc, char** argv) {
  CommandLine line;
  CLI::App& app = line.app();
  char** const dashes = std::find_if(argv, argv + argc, [](const char* word) { return std::string_view(word) == "--"; });
  try {
    app.parse(static_cast<int>(dashes - argv), argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    const bool unknown_command = app.get_subcommands().empty() && argc > 1 && argv[1][0] != '-';
    if (unknown_command) {
      fmt::print(stderr, "faultline: wanted a command, found '{}'; faultline --help lists them\n", argv[1]);
    } else {
      fmt::print(stderr, "faultline: {}\n", error.what());
    }
    if (argc < 2) fmt::print(stderr, "Try: faultline --help\n");
    return kBadInput;
  }
  for (const CLI::App* sub : app.get_subcommands()) {
    Command& command = line.command(*sub);
    if (dashes != argv + argc) {
      if (!command.takes_program()) {
        fmt::print(stderr, "faultline {}: runs no program, found one after --\n", sub->get_name());
        return kBadInput;
      }
      command.set_program({dashes + 1, argv + argc});
    }
    Result<int> status = command.run();
    const bool lost_output = std::fflush(stdout) != 0 || std::ferror(stdout) != 0;
    if (status && !lost_output) return *status;
    if (status) {
      fmt::print(stderr, "faultline {}: cannot write the output\n", sub->get_name());
      return *status == kDone ? kBadInput : *status;
    }
    fmt::print(stderr, "faultline {}: {}\n", sub->get_name(), status.error().message());
    // Who asked for JSON gets the error as JSON too, not an empty document.
    const CLI::Option* json = sub->get_option_no_throw("--json");
    if (json != nullptr && json->count() > 0) fmt::print("{}\n", nlohmann::ordered_json{{"error", status.error().message()}}.dump(2));
  }
  return kBadInput;
}

}  // namespace
}  // namespace faultline::cli

int main(int argc, char** argv) {
  try {
    return faultline::cli::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "faultline: %s\n", error.what());  // does not throw when there is no standard error either
    return faultline::cli::kBadInput;
  }
}
