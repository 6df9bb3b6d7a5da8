#include "live/ticker.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

#include "live/clock.h"

namespace faultline::live {
namespace {

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

Ticker::Ticker(double seconds) : interval_ns_(static_cast<std::uint64_t>(seconds * 1e9)), next_ns_(now_ns() + interval_ns_) {
  const sigset_t set = ending_signals();
  signals_ = Descriptor(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

Ticker::~Ticker() {
  signalfd_siginfo taken{};
  while (signals_.open() && ::read(signals_.get(), &taken, sizeof taken) > 0) {  // none is left to strike now
  }
  const sigset_t set = ending_signals();
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

bool Ticker::wait() {
  while (!interrupted_) {
    const std::uint64_t now = now_ns();
    if (now >= next_ns_) {
      next_ns_ += ((now - next_ns_) / interval_ns_ + 1) * interval_ns_;
      return true;
    }
    const std::uint64_t left = next_ns_ - now;
    timespec rest{static_cast<time_t>(left / 1'000'000'000), static_cast<long>(left % 1'000'000'000)};
    pollfd wake{signals_.get(), POLLIN, 0};
    interrupted_ = ppoll(&wake, 1, &rest, nullptr) > 0;
  }
  return false;
}

}  // namespace faultline::live
