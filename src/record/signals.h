// Signals while a command runs: a Ctrl-C reaches both, the command decides; a request to end is passed on to the command.
#pragma once

#include <signal.h>
#include <sys/types.h>

namespace faultline::record {

// From construction to destruction: SIGINT and SIGQUIT ignored, SIGTERM and SIGHUP forwarded, SIGXFSZ and SIGPIPE ignored (a
// file that cannot grow is an error to report, not a death), SIGCHLD not ignored. Construct after the fork: the child keeps the dispositions.
class SignalsDuringRecording {
 public:
  explicit SignalsDuringRecording(pid_t command);
  ~SignalsDuringRecording();
  SignalsDuringRecording(const SignalsDuringRecording&) = delete;
  SignalsDuringRecording& operator=(const SignalsDuringRecording&) = delete;

 private:
  struct sigaction before_[7];
};

}  // namespace faultline::record
