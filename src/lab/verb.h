// Verb: one command of the lab. Each file verbs_*.cc holds those of one subject and gives them out as a table.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lab/arguments.h"
#include "lab/lab.h"

namespace faultline::lab {

struct Verb {
  enum class Result : std::uint8_t { none, address };  // address: NAME = VERB ... names it
  std::string_view name;
  std::string_view usage;    // what follows the name
  std::string_view summary;  // one line
  faultline::Result<void> (*run)(Lab&, Arguments&);
  Result gives = Result::none;
  bool looks_only = false;   // changes nothing; what the command before it did stays known
  bool needs_process = true; // `main` is started for it if no process ever was
};

struct VerbGroup {
  std::string_view title;
  std::span<const Verb> verbs;
};

std::span<const Verb> process_verbs();
std::span<const Verb> malloc_verbs();
std::span<const Verb> mapping_verbs();
std::span<const Verb> access_verbs();
std::span<const Verb> machine_verbs();
std::span<const Verb> expect_verbs();
std::span<const Verb> view_verbs();

const std::vector<VerbGroup>& verb_groups();          // in the order help shows them
const Verb* find_verb(std::string_view name);

}  // namespace faultline::lab
