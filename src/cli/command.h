// One command of the command line: `faultline NAME ...`. One file each in commands/, registered at its end.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/registry.h"
#include "base/result.h"

namespace faultline::cli {

// Exit statuses of every command (`record` alone passes the child's on).
inline constexpr int kDone = 0;
inline constexpr int kAnswerIsNo = 1;  // verify found a difference, confirm missed
inline constexpr int kBadInput = 2;    // bad usage or input; also what an Error becomes

inline constexpr int kMostPid = 1 << 22;  // PID_MAX_LIMIT, include/linux/threads.h

class Command {
 public:
  virtual ~Command() = default;
  virtual void describe(CLI::App& app) = 0;  // options and positionals
  virtual Result<int> run() = 0;             // an exit status, or the one-line error to print

  // A command that runs a program gets its words from behind the first "--", untouched: they may contain "--" themselves.
  virtual bool takes_program() const { return false; }
  void set_program(std::vector<std::string> words) { program_ = std::move(words); }

 protected:
  std::vector<std::string> program_;
};

struct CommandDescriptor {
  const char* name;
  const char* summary;
  std::unique_ptr<Command> (*make)();
};

template <typename T>
std::unique_ptr<Command> make_command() {
  return std::make_unique<T>();
}

}  // namespace faultline::cli

// At the end of commands/NAME.cc.
#define FL_REGISTER_COMMAND(type, name, summary)                                                   \
  static const ::faultline::Registration<::faultline::cli::CommandDescriptor> fl_registration_##type( \
      {name, summary, &::faultline::cli::make_command<type>})
