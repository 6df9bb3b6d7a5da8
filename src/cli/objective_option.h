// The option --objective, the same in every command that has it.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "analyze/search.h"

namespace faultline::cli {

inline CLI::Option* add_objective(CLI::App& app, analyze::Objective& objective, const std::string& what) {
  std::vector<std::string> names;
  for (const auto& [name, value] : analyze::objective_names()) names.push_back(name);
  return app.add_option_function<std::string>("--objective", [&objective](const std::string& name) { objective = analyze::objective_names().at(name); }, what)
      ->check(CLI::IsMember(names, CLI::ignore_case))
      ->type_name("NAME");
}

}  // namespace faultline::cli
