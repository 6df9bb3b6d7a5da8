// faultline lab [SCRIPT]: the twin by hand, with line editing on a terminal.
#include <editline/readline.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cli/command.h"
#include "lab/lab.h"

namespace faultline::cli {
namespace {

// A script is read whole; it is text, and small.
Result<std::string> read_all(std::FILE* file, const std::string& name) {
  constexpr std::size_t most = 16u << 20;
  std::string text;
  char buffer[65536];
  while (const std::size_t got = std::fread(buffer, 1, sizeof buffer, file)) {
    text.append(buffer, got);
    if (text.size() > most) return fail(make_error("{}: wanted a script of at most 16 MiB, found more", name));
  }
  if (std::ferror(file) != 0) return fail(make_error("{}: wanted a script to read, found: {}", name, std::strerror(errno)));
  return text;
}

class LabCommand : public Command {
 public:
  void describe(CLI::App& app) override {
    app.add_option("SCRIPT", path_, "commands, one a line; - or nothing: from standard input (`help` lists them)");
    app.add_flag("--quiet", quiet_, "do not repeat the script's lines in the output");
    app.add_flag("--picture", picture_, "a picture after every command that changed it (as `picture on`); the default on a terminal");
  }

  Result<int> run() override {
    if (path_.empty() && ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0) return converse();
    lab::LabOptions options;
    options.echo = !quiet_;
    options.picture = picture_;
    lab::Lab lab(options, [](std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); });
    const bool from_input = path_.empty() || path_ == "-";
    std::FILE* const file = from_input ? stdin : std::fopen(path_.c_str(), "rb");
    if (file == nullptr) return fail(make_error("{}: wanted a script to read, found: {}", path_, std::strerror(errno)));
    const Result<std::string> text = read_all(file, from_input ? "standard input" : path_);
    if (!from_input) std::fclose(file);
    if (!text) return fail(text.error());
    const Result<lab::Lab::Next> ended = lab.run_script(*text, from_input ? "standard input" : path_);
    std::fflush(stdout);  // what was printed comes before the error
    if (!ended) return fail(ended.error());
    return *ended == lab::Lab::Next::expectation_failed ? kAnswerIsNo : kDone;
  }

 private:
  static Result<int> converse() {
    lab::LabOptions options;
    options.picture = true;
    lab::Lab lab(options, [](std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); });
    std::puts("The twin by hand: try `a = malloc 30K`, `touch a`, `show`, `help`. End with quit or Ctrl-D.");
    char name[] = "faultline";
    rl_readline_name = name;
    rl_initialize();
    using_history();
    while (char* const line = readline("lab> ")) {
      const std::string text(line);
      std::free(line);
      if (!text.empty()) add_history(text.c_str());
      const Result<lab::Lab::Next> next = lab.run_line(text);
      if (!next) {
        fmt::print("{}\n", next.error().message());
      } else if (*next == lab::Lab::Next::stop) {
        return kDone;
      }
      std::fflush(stdout);
    }
    std::puts("");
    return kDone;
  }

  std::string path_;
  bool quiet_ = false;
  bool picture_ = false;
};

}  // namespace

FL_REGISTER_COMMAND(LabCommand, "lab", "the twin by hand: malloc, touch, fork, limits ... with pictures of the address space");

}  // namespace faultline::cli
