#include "lab/verb.h"

namespace faultline::lab {

const std::vector<VerbGroup>& verb_groups() {
  static const std::vector<VerbGroup> groups = {
      {"processes", process_verbs()}, {"malloc", malloc_verbs()},   {"system calls", mapping_verbs()},
      {"accesses", access_verbs()},   {"machine", machine_verbs()}, {"looking", view_verbs()},
      {"checking", expect_verbs()},
  };
  return groups;
}

const Verb* find_verb(std::string_view name) {
  for (const VerbGroup& group : verb_groups()) {
    for (const Verb& verb : group.verbs) {
      if (verb.name == name) return &verb;
    }
  }
  return nullptr;
}

}  // namespace faultline::lab
