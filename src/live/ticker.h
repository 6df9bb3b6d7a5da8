// Waits for the next of equally spaced moments, or until the user has had enough (SIGINT, SIGTERM).
#pragma once

#include <cstdint>

#include "live/proc.h"

namespace faultline::live {

class Ticker {
 public:
  // While it exists the two signals only end the wait.
  explicit Ticker(double seconds);
  ~Ticker();
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

  bool wait();  // false: interrupted, now or before. A moment that has passed already is left out

 private:
  std::uint64_t interval_ns_, next_ns_;
  Descriptor signals_;
  bool interrupted_ = false;
};

}  // namespace faultline::live
