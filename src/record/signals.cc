#include "record/signals.h"

#include <atomic>
#include <cstddef>
#include <iterator>

namespace faultline::record {

namespace {

constexpr int kSignals[] = {SIGINT, SIGQUIT, SIGPIPE, SIGXFSZ, SIGTERM, SIGHUP, SIGCHLD};
constexpr std::size_t kIgnored = 4;  // the first ones; the others are forwarded
std::atomic<pid_t> target{0};

void forward(int signal) {
  if (const pid_t pid = target.load(); pid > 0) kill(pid, signal);
}

}  // namespace

SignalsDuringRecording::SignalsDuringRecording(pid_t command) {
  target = command;
  for (std::size_t i = 0; i < std::size(kSignals); ++i) {
    struct sigaction action {};
    if (kSignals[i] == SIGCHLD) {  // ignored, as some service managers hand it on, it would take the command's status from us: wait(2)
      action.sa_handler = SIG_DFL;
    } else if (i < kIgnored) {
      action.sa_handler = SIG_IGN;
    } else {
      action.sa_handler = forward;
      action.sa_flags = SA_RESTART;
    }
    sigaction(kSignals[i], nullptr, &before_[i]);
    if (action.sa_handler == forward && before_[i].sa_handler == SIG_IGN) continue;  // nohup
    sigaction(kSignals[i], &action, nullptr);
  }
}

SignalsDuringRecording::~SignalsDuringRecording() {
  target = 0;
  for (std::size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &before_[i], nullptr);
}

}  // namespace faultline::record
