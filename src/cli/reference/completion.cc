#include "cli/reference/completion.h"

#include <fmt/format.h>

namespace faultline::cli {
namespace {

std::string names_of(const CLI::App& command) {
  std::string names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_snames()) names += fmt::format("{}-{}", names.empty() ? "" : " ", name);
    for (const std::string& name : option->get_lnames()) names += fmt::format("{}--{}", names.empty() ? "" : " ", name);
  }
  return names;
}

}  // namespace

std::string bash_completion(CommandLine& line) {
  std::string commands, cases;
  for (const CLI::App* command : line.app().get_subcommands({})) {
    commands += (commands.empty() ? "" : " ") + command->get_name();
    cases += fmt::format("    {}) options='{}' program={} ;;\n", command->get_name(), names_of(*command), line.command(*command).takes_program() ? "yes" : "no");
  }
  return fmt::format(R"(# bash completion for faultline: commands, their options, files; behind -- the program to run.
_faultline() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} command= options= program=no i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case ${{COMP_WORDS[i]}} in
      -*) ;;
      *) command=${{COMP_WORDS[i]}}; break ;;
    esac
  done
  case $command in
    '') COMPREPLY=($(compgen -W '{0} {1}' -- "$cur")); return ;;
{2}    *) return ;;
  esac
  if [ $program = yes ]; then
    for ((++i; i < COMP_CWORD; ++i)); do
      [ "${{COMP_WORDS[i]}}" = -- ] || continue
      if declare -F _command_offset >/dev/null; then _command_offset $((i + 1)); else COMPREPLY=($(compgen -c -- "$cur")); fi
      return
    done
  fi
  case $cur in
    -*) COMPREPLY=($(compgen -W "$options" -- "$cur")) ;;
    *) COMPREPLY=($(compgen -f -- "$cur")) ;;
  esac
}}
complete -o filenames -o bashdefault -F _faultline faultline
)",
                     commands, names_of(line.app()), cases);
}

}  // namespace faultline::cli
