#include "cli/reference/man_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "cli/version.h"

namespace faultline::cli {
namespace {

// A backslash begins a request, a dot or quote at a line's start does, and a - is a hyphen unless told otherwise.
std::string escaped(const std::string& text) {
  std::string result;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) result += "\\&";
    if (c == '\\') result += "\\e";
    else if (c == '-') result += "\\-";
    else result += c;
    line_start = c == '\n';
  }
  return result;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string head(const std::string& name, const std::string& summary) {
  return fmt::format(".TH {} 1 \"\" \"faultline {}\" \"faultline\"\n.SH NAME\n{} \\- {}\n", escaped(upper(name)), kVersion, escaped(name), escaped(summary));
}

bool positional(const CLI::Option& option) { return option.get_lnames().empty() && option.get_snames().empty(); }

std::string synopsis(const CLI::App& command, bool program) {
  std::string text = fmt::format(".SH SYNOPSIS\n.B faultline {}\n[OPTIONS]", command.get_name());
  for (const CLI::Option* option : command.get_options()) {
    if (!positional(*option)) continue;
    const std::string name = upper(option->get_name(true));
    text += option->get_required() ? fmt::format(" \\fI{}\\fR", escaped(name)) : fmt::format(" [\\fI{}\\fR]", escaped(name));
  }
  if (program) text += " \\-\\- \\fICMD\\fR...";
  return text + "\n";
}

std::string option_entry(const CLI::Option& option) {
  std::string names;
  if (positional(option)) {
    names = fmt::format("\\fI{}\\fR", escaped(upper(option.get_name(true))));
  } else {
    for (const std::string& name : option.get_snames()) names += fmt::format("{}\\fB\\-{}\\fR", names.empty() ? "" : ", ", escaped(name));
    for (const std::string& name : option.get_lnames()) names += fmt::format("{}\\fB\\-\\-{}\\fR", names.empty() ? "" : ", ", escaped(name));
    if (option.get_items_expected_max() > 0) names += " \\fIVALUE\\fR";
  }
  std::string text = fmt::format(".TP\n{}\n{}", names, escaped(option.get_description()));
  if (!option.get_default_str().empty()) text += fmt::format(" (default: {})", escaped(option.get_default_str()));
  return text + "\n";
}

constexpr char kExitStatus[] =
    ".SH EXIT STATUS\n.TP\n0\ndone\n.TP\n1\nthe answer is no\n.TP\n2\nbad usage or input\n.P\n\\fBrecord\\fR passes the status of the recorded program on.\n";

}  // namespace

std::string man_page(CommandLine& line) {
  std::string text = head("faultline", "where a process's memory and page faults come from, and what a setting would change");
  text += ".SH SYNOPSIS\n.B faultline\n\\fICOMMAND\\fR [OPTIONS]...\n.SH DESCRIPTION\n" + escaped(line.app().get_description()) + "\n.SH COMMANDS\n";
  std::string others;
  for (const CLI::App* command : line.app().get_subcommands({})) {
    text += fmt::format(".TP\n\\fB{}\\fR\n{}\n", escaped(command->get_name()), escaped(command->get_description()));
    others += fmt::format("{}\\fBfaultline\\-{}\\fR(1)", others.empty() ? "" : ", ", escaped(command->get_name()));
  }
  return text + kExitStatus + ".SH SEE ALSO\n" + others + "\n";
}

std::string man_page(CommandLine& line, const CLI::App& command) {
  std::string text = head("faultline-" + command.get_name(), command.get_description());
  text += synopsis(command, line.command(command).takes_program());
  text += ".SH OPTIONS\n";
  for (const CLI::Option* option : command.get_options()) text += option_entry(*option);
  if (!command.get_footer().empty()) text += ".SH NOTES\n.nf\n" + escaped(command.get_footer()) + "\n.fi\n";
  return text + kExitStatus + ".SH SEE ALSO\n\\fBfaultline\\fR(1)\n";
}

}  // namespace faultline::cli
