// The socket at which shims report: an abstract address, so that nothing is left in the file system.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "record/perf_ring.h"
#include "trace/wire.h"

namespace faultline::record {

struct Greeting {
  Fd connection;
  wire::Hello hello;
  pid_t pid;  // as the kernel tells it: the hello's is that of the program's own pid namespace
};

class Listener {
 public:
  static Result<Listener> open();
  const std::string& name() const { return name_; }  // "@faultline-...", for FAULTLINE_SOCKET
  int descriptor() const { return socket_.get(); }

  // The next program that says hello, if one waits. Strangers (another user's, another version's) are turned away.
  std::optional<Greeting> accept();
  static void answer(const Greeting& greeting, const wire::Welcome& welcome, int memory);

 private:
  Fd socket_;
  std::string name_;
};

}  // namespace faultline::record
